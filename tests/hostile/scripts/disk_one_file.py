# Tries: to write one file larger than the limit.
# Expect: ends OSError
with open("big", "wb") as file:
    attempt("half as much again", lambda: [file.write(bytes(65536)) for _ in range(T["limits"]["tmp"] * 3 // 2 // 65536)])
    if not T["bare"]:
        [file.write(bytes(65536)) for _ in range(T["limits"]["tmp"] * 3 // 2 // 65536)]
