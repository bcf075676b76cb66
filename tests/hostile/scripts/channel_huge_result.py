# Tries: to make the guard take a result beyond the limit.
# Expect: ends ResultTooLarge
# Bare: not shown: outside the sandbox there is no such channel
os.write(3, b"V\xff\xff\xff\x7f" + b"x" * 1000)
time.sleep(1000)
