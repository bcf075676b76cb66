# Tries: to confuse the guard with garbage on the channel that results are told by.
# Expect: ends ProtocolViolation
# Bare: not shown: outside the sandbox there is no such channel
os.write(3, b"\xff" * 1000)
time.sleep(1000)
