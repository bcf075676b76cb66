# Tries: to write anywhere but in its temporary folder.
# Expect: refused EACCES EPERM ENOENT EROFS ETXTBSY
for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
    reason = None if os.access(folder, os.W_OK) else "the folder is not there, or not for this user"
    path = folder + "/airlock-hostile-%d" % os.getpid()
    attempt("a file in " + folder, lambda: (open(path, "w").close(), os.unlink(path)), bare=reason)
    attempt("a folder in " + folder, lambda: (os.mkdir(path), os.rmdir(path)), bare=reason)
    attempt("a pipe in " + folder, lambda: (os.mkfifo(path), os.unlink(path)), bare=reason)
    attempt("a link in " + folder, lambda: (os.symlink("/", path), os.unlink(path)), bare=reason)
attempt("beside its own folder", lambda: (open("../beside", "w").close(), os.unlink("../beside")))
attempt("rename its own folder", lambda: (lambda own: (os.rename(own, own + "x"), os.rename(own + "x", own)))(os.getcwd()))
ROOT = "only root may, with or without a sandbox; the user is another wall"
for path in ("/etc/passwd", "/usr/bin/python3", "/usr/lib/os-release"):
    attempt("write " + path, lambda: os.close(os.open(path, os.O_WRONLY)), bare=ROOT)
attempt("a file in /usr", lambda: open("/usr/lib/planted", "w"), bare=ROOT)
