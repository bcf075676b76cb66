# Tries: to leave state behind for the next execution of the same worker: modules, builtins, environment, limits, mask, priority.
# Expect: nothing found
# Bare: not shown: two programs share no interpreter outside the sandbox; here it is the fork server's that they might
import builtins
def marked(found):
    if not found:
        raise LookupError
if T["second"]:
    attempt("a module", lambda: marked(hasattr(json, "left")))
    attempt("a builtin", lambda: marked(hasattr(builtins, "left")))
    attempt("a variable of the environment", lambda: marked("LEFT" in os.environ))
    attempt("a signal's handler", lambda: marked(signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL))
    attempt("a file mode mask", lambda: marked(os.umask(0o22) == 0o7))
    attempt("a priority", lambda: marked(os.nice(0) != os.getpriority(os.PRIO_PROCESS, os.getppid())))
    attempt("a setting", lambda: marked(settings.get("LEFT") is not None))
    attempt("a name", lambda: marked("left_name" in globals()))
else:
    json.left = builtins.left = left_name = 1
    os.environ["LEFT"] = "1"
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.umask(0o7)
    os.nice(5)
    try:
        settings._values["LEFT"] = "1"
    except Exception:
        pass
