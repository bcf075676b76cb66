# Tries: to reach a sibling's temporary folder: by its path, by links, by renaming, by its working folder.
# Expect: refused EACCES EPERM EXDEV ENOENT
folder, file = T["victim"]["folder"], T["victim"]["file"]
attempt("list it", lambda: os.listdir(folder))
attempt("read its file", lambda: open(file).read())
attempt("append to its file", lambda: open(file, "a").write("x"))
attempt("plant a file", lambda: open(folder + "/planted", "w").close())
attempt("a symbolic link to it", lambda: (os.symlink(file, "symbolic"), open("symbolic").read()))
attempt("a symbolic link to its folder", lambda: (os.symlink(folder, "way"), os.listdir("way")))
attempt("a hard link to it", lambda: os.link(file, "hard"), bare_in_container="its folder may be on another file system")
attempt("by its process", lambda: open("/proc/%d/cwd/mine" % T["victim"]["pid"]).read())
attempt("the folder above", lambda: os.listdir(os.path.dirname(folder)))
