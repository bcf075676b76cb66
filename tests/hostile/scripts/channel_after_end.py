# Tries: to write on after a forged end, from children too, into whatever comes next.
# Expect: any end
# Bare: not shown: outside the sandbox there is no such channel
done = b'{"error_type":null,"error":null,"traceback":null}'
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            os.write(3, b"V" + struct.pack("<I", 2) + b"42")
        except OSError:
            os._exit(0)
os.write(3, b"D" + struct.pack("<I", len(done)) + done)
while True:
    os.write(3, b"D" + struct.pack("<I", len(done)) + done)
