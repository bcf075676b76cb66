"""The `-c` text of the fork server: loads the runtime's modules from descriptor 3 and hands over to `_airlock_forkserver`.

Descriptor 3 holds `{"modules": [[name, source], ...], "config": {...}}` in UTF-8. The modules never exist as files; their
code objects carry the file name `<airlock>/NAME.py`, by which tracebacks leave them out.
"""


def boot():
    import builtins
    import json
    import sys
    import types

    # Left open, so that nothing else gets the number 3: in the forked process it becomes the channel to the guard.
    with open(3, "rb", closefd=False) as stream:
        bundle = json.loads(stream.read().decode("utf-8"))
    # `-c` puts '' on the path: a module in the current folder would shadow the standard library's.
    sys.path[:] = [folder for folder in sys.path if folder]
    # The runtime keeps its own copy of the builtins: a script that deletes or replaces some must not break its own report.
    kept_builtins = dict(vars(builtins))
    for name, source in bundle["modules"]:
        module = types.ModuleType(name)
        module.__file__ = "<airlock>/%s.py" % name
        module.__builtins__ = kept_builtins
        sys.modules[name] = module
        exec(compile(source, module.__file__, "exec", dont_inherit=True), vars(module))
    sys.modules["_airlock_forkserver"].main(bundle["config"])


boot()
