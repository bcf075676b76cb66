# Tries: to find out what there is on the machine, by asking for what no access to a file is needed for: whether it is there, its size, its times.
# Expect: refused ENOENT
# Needs: file tree
# Bare: as server
def asked(path):
    os.stat(path)


for path in (T["data"], T["key"], T["store"], "/etc/shadow", "/etc/hostname", "/boot", "/sys/kernel", "/var/lib"):
    attempt("look at " + path, lambda: asked(path))
attempt("look by a link", lambda: (os.symlink(T["key"], "way"), asked("way")))
attempt("look by a relative path", lambda: asked(os.path.relpath(T["key"])))
attempt("look above the root", lambda: asked("/../../../.." + T["key"]))
attempt("enter a folder", lambda: os.chdir("/var/lib"))
attempt("watch a folder", lambda: call(254, call(253), T["data"].encode(), 2))
