# Tries: to read, change and replace Airlock's data folder, key file and store.
# Expect: refused EACCES EPERM EXDEV ENOENT
# Bare: as server
def through_link(path):
    os.symlink(path, "link")
    try:
        open("link", "rb").read(16)
    finally:
        os.unlink("link")


attempt("list the data folder", lambda: os.listdir(T["data"]))
for path in (T["key"], T["store"]):
    attempt("read " + path, lambda: open(path, "rb").read(16))
    attempt("open for writing " + path, lambda: os.close(os.open(path, os.O_WRONLY)))
    attempt("look at " + path, lambda: os.listdir(os.path.dirname(path)))
    attempt("link to " + path, lambda: through_link(path))
attempt("make a file beside them", lambda: (open(T["data"] + "/planted", "w").close(), os.unlink(T["data"] + "/planted")))
attempt("by way of its own folder", lambda: open(os.path.relpath(os.path.realpath(T["key"])), "rb").read(16))
