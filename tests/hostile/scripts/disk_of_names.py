# Tries: to use up the file system's names: empty files and folders without end.
# Expect: ends DiskLimit
def fill():
    count = 0
    while not T["bare"] or count < 30000:
        os.mkdir("d%d" % count)
        count += 1
attempt("names without end", fill)
