# Tries: to reach a service on this machine that the profile does not allow, however its address is spelled.
# Expect: refused EPERM gaierror URLError ValueError TypeError UnicodeError OSError
port = T["tcp"]
six = "there is no IPv6 in this container"


def to(host, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect((host, port))


for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "localhost",
             "LOCALHOST", "localho\u017ft"):
    attempt("four: " + host, lambda: to(host))
for host in ("::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:127.0.0.1"):
    attempt("six: " + host, lambda: to(host, socket.AF_INET6), bare_in_container=six)
for host in ("::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe"):
    attempt("embedded: " + host, lambda: to(host, socket.AF_INET6), bare="no route leads there from here")
attempt("created", lambda: socket.create_connection(("127.0.0.1", port), 5))
attempt("final dot", lambda: to("localhost."), bare="not every resolver takes it")
attempt("NUL", lambda: to("127.0.0.1\0.open.example"), bare="Python refuses it by itself")
attempt("address with a tail", lambda: to("127.0.0.1 open.example"), bare="a C library may refuse it by itself")
if not T["bare"]:
    import urllib.request
    for url in ("http://127.0.0.1:%d/", "http://open.example@127.0.0.1:%d/", "http://open.example%%40127.0.0.1:%d/"):
        attempt("url " + url, lambda: urllib.request.urlopen(url % port, timeout=5))
