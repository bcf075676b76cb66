# Tries: to run a program that it wrote itself.
# Expect: refused EACCES EPERM
def run(path):
    in_child(lambda: os.execv(path, [path]))

open("program", "w").write("#!/bin/sh\nexit 0\n")
os.chmod("program", 0o755)
import shutil
shutil.copy("/bin/true", "copy")
attempt("a script with its interpreter's line", lambda: run("./program"))
attempt("a copy of a binary", lambda: run("./copy"))
attempt("by descriptor", lambda: in_child(lambda: call(322, os.open("copy", os.O_RDONLY), b"", 0, 0, 0x1000)),
        bare="needs an argument list at hand; the plain ways are shown")
