# Tries: names that the profile allows, and that lead where it must not get: this machine, metadata, by a wildcard a private network.
# Expect: refused EPERM gaierror
# Bare: not shown: the machine's name servers do not know these names; that addresses are reached is shown by `egress_spellings`
def to(host, port):
    with socket.create_connection((host, port), 2):
        pass


attempt("this machine", lambda: to("rebound.example", T["tcp"]))
attempt("metadata", lambda: to("metadata.example", 80))
attempt("private", lambda: to("private.wild.example", 80))
attempt("not allowed", lambda: to("other.example", 80))
attempt("a secret as a name", lambda: to("token-of-the-victim.other.example", 80))
