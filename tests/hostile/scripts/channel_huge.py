# Tries: to make the guard take memory for a frame that is announced and never comes.
# Expect: ends ProtocolViolation
# Bare: not shown: outside the sandbox there is no such channel
os.write(3, b"D\xff\xff\xff\xff" + b"x" * 1000)
time.sleep(1000)
