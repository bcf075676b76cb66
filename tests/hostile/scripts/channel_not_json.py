# Tries: to hand in a result that is not JSON, which whoever reads it might choke on.
# Expect: ends ProtocolViolation
# Bare: not shown: outside the sandbox there is no such channel
os.write(3, b"V" + struct.pack("<I", 4) + b"{\xff}]")
time.sleep(1000)
