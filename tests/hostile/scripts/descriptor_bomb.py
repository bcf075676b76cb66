# Tries: to hold more descriptors than the limit.
# Expect: ends OSError
held = []
def take():
    for _ in range(T["limits"]["files"] * 3 // 2):
        held.append(os.open("/dev/null", os.O_RDONLY))
attempt("half as many again", take)
if not T["bare"]:
    take()
