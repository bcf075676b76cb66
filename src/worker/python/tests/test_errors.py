"""How a script's end is told: kind, sentence with its line, traceback without the runtime's frames."""

import re
import sys
import unittest

from test_script import Case


class Errors(Case):
    def done(self, script):
        done = self.guard.run(script).done
        self.assertNotIn("<airlock>", done["traceback"] or "")
        return done

    def told(self, script):
        done = self.done(script)
        return done["error_type"], done["error"]

    def test_kind_sentence_line_and_traceback(self):
        done = self.done("import json\n\ndef f(x):\n    return foo\nf(1)")
        self.assertEqual(("NameError", "NameError: name 'foo' is not defined (line 4)"), (done["error_type"], done["error"]))
        without_carets = re.sub(r"\n +[~^]+(?=\n)", "", done["traceback"])
        self.assertEqual(
            'Traceback (most recent call last):\n  File "<script>", line 5, in <module>\n    f(1)\n'
            '  File "<script>", line 4, in f\n    return foo\nNameError: name \'foo\' is not defined\n',
            without_carets,
        )

    def test_library_frames_are_kept_and_the_line_is_the_scripts(self):
        done = self.done("import json\njson.loads('{')")
        self.assertRegex(done["error"], r"^JSONDecodeError: .* \(line 2\)$")
        self.assertRegex(done["traceback"], r'File ".*/json/decoder.py", line \d+, in raw_decode')

    def test_library_exceptions_are_named_without_their_module(self):
        self.assertEqual("HTTPError", self.told("import urllib.error as e\nraise e.HTTPError('u', 404, 'no', {}, None)")[0])

    def test_no_message(self):
        self.assertEqual(("AssertionError", "AssertionError (line 1)"), self.told("assert False"))

    def test_syntax_error(self):
        done = self.done("x = 1\n\nfoo bar\n")
        self.assertEqual(("SyntaxError", "SyntaxError: invalid syntax (line 3)"), (done["error_type"], done["error"]))
        self.assertRegex(done["traceback"], r'^  File "<script>", line 3\n    foo bar\n +\^+\nSyntaxError: invalid syntax\n$')

    def test_syntax_error_in_other_code_has_the_line_that_ran_it(self):
        kind, error = self.told("x = 1\ncompile('a b', 'other', 'exec')")
        self.assertEqual("SyntaxError", kind)
        self.assertTrue(error.endswith("(line 2)"), error)

    def test_indentation_error(self):
        self.assertEqual("IndentationError", self.told("if 1:\nx = 1")[0])

    def test_system_exit(self):
        for script in ("exit()", "import sys\nsys.exit(0)", "import sys\nsys.exit(None)", "raise SystemExit", "exit(False)"):
            self.assertEqual((None, None), self.told(script))
        self.assertEqual(("SystemExit", "SystemExit: why (line 2)"), self.told("import sys\nsys.exit('why')"))
        self.assertEqual(("SystemExit", "SystemExit: exit code 3 (line 2)"), self.told("import sys\nsys.exit(3)"))

    def test_other_base_exceptions(self):
        self.assertEqual(("KeyboardInterrupt", "KeyboardInterrupt (line 1)"), self.told("raise KeyboardInterrupt"))
        self.assertEqual(("GeneratorExit", "GeneratorExit: x (line 1)"), self.told("raise GeneratorExit('x')"))

    def test_chained_exceptions(self):
        traceback = self.done(
            "def f():\n    set_result(object())\ntry:\n    f()\nexcept TypeError as e:\n    raise ValueError('v') from e"
        )["traceback"]
        self.assertIn("The above exception was the direct cause", traceback)
        self.assertIn('line 2, in f\n    set_result(object())\n', traceback)

    def test_context(self):
        traceback = self.done("try:\n    set_result({1})\nexcept TypeError:\n    1/0")["traceback"]
        self.assertIn("During handling of the above exception", traceback)

    @unittest.skipIf(sys.version_info < (3, 11), "exception groups came with 3.11")
    def test_exception_groups(self):
        done = self.done(
            "def f():\n    try: set_result({1})\n    except TypeError as e: return e\n"
            "e = f()\ne.add_note('a note')\nraise ExceptionGroup('many', [e, ValueError('v')])"
        )
        self.assertEqual("ExceptionGroup: many (2 sub-exceptions) (line 6)", done["error"])
        self.assertIn("a note", done["traceback"])

    def test_a_message_that_cannot_be_made(self):
        kind, error = self.told("class E(Exception):\n    def __str__(self): raise SystemExit('no')\nraise E")
        self.assertEqual(("E", "E: <exception str() failed> (line 3)"), (kind, error))

    def test_a_message_with_methods_of_its_own(self):
        script = (
            "class S(str):\n    def __len__(self): raise KeyError\n    def __getitem__(self, k): return self\n"
            "class E(Exception):\n    def __str__(self): return S('text')\nraise E"
        )
        self.assertEqual(("E", "E: text (line 6)"), self.told(script))

    def test_a_class_that_lies_about_its_name(self):
        script = "class M(type):\n    __name__ = property(lambda c: 1/0)\nclass E(Exception, metaclass=M): pass\nraise E('x')"
        self.assertEqual(("E", "E: x (line 4)"), self.told(script))

    def test_an_attribute_that_lies_about_the_traceback(self):
        self.assertEqual("E", self.told("class E(Exception):\n    __traceback__ = 5\nraise E('x')")[0])

    def test_lone_surrogates(self):
        self.assertEqual("ValueError: \\udc80 (line 1)", self.told("raise ValueError('\\udc80')")[1])

    def test_recursion_is_folded(self):
        done = self.done("def f(n):\n    return f(n + 1)\nf(0)")
        self.assertEqual("RecursionError", done["error_type"])
        self.assertIn("[Previous line repeated ", done["traceback"])
        self.assertLess(len(done["traceback"]), 3000)

    def test_everything_is_bounded(self):
        done = self.done("raise ValueError('\\U0001f600\\udc80' * 1_000_000)")
        # What the server shows ends 64 KiB or more before what is cut here.
        self.assertEqual(80 * 1024, len(done["error"]))
        self.assertEqual(160 * 1024, len(done["traceback"]))
        done = self.done("raise type('E' * 1_000_000, (Exception,), {})")
        self.assertEqual(80 * 1024, len(done["error_type"]))

    def test_out_of_memory(self):
        script = (
            "import resource\nresource.setrlimit(resource.RLIMIT_AS, (%d, %d))\nhold = []\n"
            "size = 1 << 24\n"
            "while True:\n    try:\n        hold.append(bytearray(size))\n    except MemoryError:\n"
            "        if size == 1: raise\n        size //= 2" % (1 << 29, 1 << 29)
        )
        self.assertEqual("MemoryError", self.told(script)[0])


class Sabotage(Case):
    """The report comes although the script has broken what it can reach."""

    def test_report_survives(self):
        for sabotage in (
            "import json; json.dumps = json.loads = json.JSONEncoder.encode = json.encoder.encode_basestring_ascii = None",
            "import traceback; traceback.TracebackException.format = traceback.TracebackException.__init__ = None",
            "import traceback; traceback.TracebackException.__init__ = lambda *a: 1/0",
            "import linecache; linecache.getline = linecache.checkcache = None; linecache.cache.clear()",
            "import os; os.write = os._exit = os.getpid = os.read = None",
            "import signal; signal.pthread_sigmask = None",
            "import builtins; vars(builtins).clear()",
            "import sys; sys.settrace(lambda *a: 1/0)",
            "import sys; sys.setprofile(print)",
            "import sys; sys.modules.clear()",
            "import json, linecache, os, traceback\nfor m in (json, json.encoder, linecache, os, traceback): vars(m).clear()",
            "import sys; sys.excepthook = None; del sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__",
            "import sys; sys.setrecursionlimit(30)",
            "import os; os.chdir('/'); os.environ.clear()",
            "import gc; gc.disable()",
            "import signal; signal.signal(signal.SIGALRM, lambda *a: 1/0); signal.setitimer(signal.ITIMER_REAL, .0001, .0001)",
            "import os, signal; os.kill(os.getpid(), signal.SIGCHLD); signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        ):
            with self.subTest(sabotage):
                execution = self.guard.run("set_result([1])\n" + sabotage + "\n1/0")
                self.assertEqual("ZeroDivisionError", execution.done["error_type"])
                self.assertIn("ZeroDivisionError", execution.done["error"])
                self.assertEqual([1], execution.result)

    def test_deleted_builtins_leave_a_plain_traceback(self):
        done = self.guard.run("import builtins\ndel builtins.isinstance, builtins.len\ndef f():\n    1/0\nf()").done
        self.assertEqual("ZeroDivisionError: division by zero (line 4)", done["error"])
        self.assertIn('File "<script>", line 5, in <module>\n', done["traceback"])
        self.assertTrue(done["traceback"].endswith("ZeroDivisionError: division by zero\n"))

    def test_a_replaced_json_default_does_not_change_results(self):
        script = "import json\njson.JSONEncoder.default = lambda self, value: 'anything'\nset_result(object())"
        self.assertEqual("TypeError", self.guard.run(script).done["error_type"])


if __name__ == "__main__":
    unittest.main()
