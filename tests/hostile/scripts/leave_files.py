# Tries: to leave files behind for the next execution of the same worker.
# Expect: nothing found
places = [".", "/var/tmp", "/dev/shm", os.path.dirname(os.getcwd())]
for place in places:
    path = os.path.join(place, "left-by-a-script")
    reason = None if os.access(place, os.W_OK) or place == "." else "the folder is not for this user"
    if T["second"]:
        attempt("left in %s" % place, lambda: (open(path).close(), os.unlink(path)), bare=reason)
    else:
        try:
            open(path, "w").close()
        except OSError:
            pass
