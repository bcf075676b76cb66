"""What a script sees: its module, its streams, its settings, and what may go on inside it."""

import json
import struct
import unittest

from guard import Guard


class Case(unittest.TestCase):
    """One fork server for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.guard = Guard()

    @classmethod
    def tearDownClass(cls):
        cls.guard.close()

    def completed(self, script, **arguments):
        execution = self.guard.run(script, **arguments)
        self.assertEqual({"error_type": None, "error": None, "traceback": None}, execution.done)
        return execution


class TheModule(Case):
    def test_is_a_fresh_main_with_the_predefined_names(self):
        seen = self.completed(
            "import sys, airlock\n"
            "assert sys.modules['__main__'].__dict__ is globals()\n"
            "assert airlock.settings is settings and airlock.set_result is set_result and airlock.llm is llm\n"
            "set_result([__name__, __file__, sys.argv, '' in sys.path, sorted(n for n in globals() if n[:2] != '__')])"
        ).result
        names = ["airlock", "llm", "set_result", "settings", "sys"]
        self.assertEqual(["__main__", "<script>", ["<script>"], False, names], seen)

    def test_leaves_nothing_for_the_next_execution(self):
        self.completed("import builtins, json\nbuiltins.left = json.left = 1\nset_result('mine')")
        second = self.completed("import builtins, json\nprint(hasattr(builtins, 'left'), hasattr(json, 'left'))")
        self.assertEqual("False False\n", second.stdout)
        self.assertEqual(["D"], [kind for kind, _ in second.frames])

    def test_classes_pickle_and_source_is_found(self):
        self.completed(
            "import pickle, inspect\nclass A: pass\ndef f():\n    return 1\n"
            "assert type(pickle.loads(pickle.dumps(A()))) is A\n"
            "assert inspect.getsource(f) == 'def f():\\n    return 1\\n'"
        )

    def test_future_imports_line_ends_and_cookies_are_as_in_cpython(self):
        self.completed("# -*- coding: latin-1 -*-\r\nfrom __future__ import annotations\r\ndef f(a: nowhere): pass\r\n")
        self.completed("def f(a: int): pass\nassert f.__annotations__ == {'a': int}")

    def test_lines_of_a_traceback_are_those_that_python_counts(self):
        for head in ("a = 'x\x0cy\u2028z'\n", "a = 1\r\n", "", "a = '''\n\x1c\n'''\n", "\x0c\n"):
            done = self.guard.run(head + "raise ValueError('here')").done
            self.assertIn("    raise ValueError('here')\n", done["traceback"])

    def test_nul_bytes_and_a_byte_order_mark_are_errors_as_in_cpython(self):
        for script in ("x = 1\0", "\ufeffx = 1"):
            with self.assertRaises((SyntaxError, ValueError)) as expected:
                compile(script, "<script>", "exec")
            self.assertEqual(type(expected.exception).__name__, self.guard.run(script).done["error_type"])

    def test_an_empty_script_completes(self):
        self.completed("")

    def test_a_large_script_in_many_parts_arrives_whole(self):
        execution = self.guard.fork()
        execution.send_run("# %s\nset_result(settings['A'])" % ("é" * 300_000), {"A": "v" * 1000}, in_parts_of=4093)
        self.assertEqual("v" * 1000, execution.finish().result)

    def test_a_header_in_single_bytes_arrives_whole(self):
        execution = self.guard.fork()
        execution.send_run("set_result(1)", in_parts_of=1)
        self.assertEqual(1, execution.finish().result)


class TheStreams(Case):
    def test_are_write_through(self):
        execution = self.guard.run(
            "import os, signal, sys\nprint('a', end='')\nsys.stdout.buffer.write(b'b')\nsys.stderr.write('c')\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        self.assertEqual(("ab", "c", [], 9), (execution.stdout, execution.stderr, execution.frames, execution.exited["status"]))

    def test_input_is_empty(self):
        self.assertEqual("EOFError", self.guard.run("input()").done["error_type"])

    def test_what_utf8_cannot_hold_is_escaped(self):
        self.assertEqual("\\udc80 é\n", self.completed("print('\\udc80', 'é')").stdout)

    def test_output_that_is_not_text_passes_as_it_is(self):
        execution = self.completed("import sys\nsys.stdout.buffer.write(b'\\xff\\0')")
        self.assertEqual(b"\xff\0", execution.output["stdout"])

    def test_large_output_is_whole_though_signals_interrupt_it(self):
        execution = self.completed(
            "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\nprint('x' * 5_000_000)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0)"
        )
        self.assertEqual(5_000_001, len(execution.stdout))

    def test_of_subprocesses_and_of_logging_are_captured(self):
        execution = self.completed(
            "import logging, os, subprocess\nprint('first')\nsubprocess.run(['echo', 'second'], check=True)\n"
            "os.system('echo third')\nlogging.warning('fourth')"
        )
        self.assertEqual(("first\nsecond\nthird\n", "WARNING:root:fourth\n"), (execution.stdout, execution.stderr))

    def test_may_be_closed_or_replaced(self):
        for script in (
            "import sys\nsys.stdout.close()\nsys.stderr.close()",
            "import os\nos.close(1)\nos.close(2)",
            "import sys\nsys.stdout = sys.stderr = sys.__stdout__ = None",
            "import sys\nclass S:\n    def flush(self): raise SystemExit('from flush')\nsys.stdout = S()",
        ):
            with self.subTest(script):
                self.assertEqual(7, self.completed(script + "\nset_result(7)").result)

    def test_a_buffered_replacement_is_flushed_at_the_end(self):
        execution = self.completed("import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint('late')")
        self.assertEqual("late\n", execution.stdout)


class TheFolder(Case):
    def test_is_current_home_and_for_temporary_files(self):
        execution = self.guard.fork()
        execution.send_run(
            "import os, tempfile, pathlib\nopen('file', 'w').write('x')\n"
            "with tempfile.NamedTemporaryFile() as f: name = os.path.dirname(f.name)\n"
            "set_result([os.getcwd(), os.environ['HOME'], os.environ['TMPDIR'], str(pathlib.Path.home()), name])"
        )
        self.assertEqual([execution.folder] * 5, execution.finish().result)

    def test_takes_a_tree_of_files(self):
        self.completed(
            "import os, shutil\nos.makedirs('a/b')\nopen('a/b/f', 'w').write('1')\nos.rename('a/b/f', 'a/g')\n"
            "os.link('a/g', 'h')\nos.symlink('h', 'i')\nos.truncate('h', 0)\nos.mkfifo('p')\nos.chmod('h', 0o600)\n"
            "shutil.rmtree('a')\nassert sorted(os.listdir()) == ['h', 'i', 'p']"
        )

    def test_devices_that_programs_expect_work(self):
        self.completed(
            "open('/dev/null', 'w').write('x')\nassert open('/dev/zero', 'rb').read(2) == b'\\0\\0'\n"
            "assert len(open('/dev/urandom', 'rb').read(4)) == 4\nimport subprocess\n"
            "subprocess.run('true', stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)"
        )


class Settings(Case):
    VALUES = {"TOKEN": "s3cret-value", "USER": "other-value"}

    def test_are_a_mapping_of_names_to_values(self):
        self.completed(
            "from collections.abc import Mapping\nassert isinstance(settings, Mapping)\n"
            "assert settings['TOKEN'] == settings.get('TOKEN') == 's3cret-value'\n"
            "assert settings.get('NO') is None and settings.get('NO', 1) == 1\n"
            "assert list(settings) == list(settings.keys()) == ['TOKEN', 'USER']\n"
            "assert len(settings) == 2 and 'USER' in settings and 'NO' not in settings and 3 not in settings",
            settings=self.VALUES,
        )

    def test_a_missing_name_names_those_there_are(self):
        error = self.guard.run("settings['NO']", self.VALUES).done["error"]
        self.assertEqual("KeyError: \"no setting 'NO'; this profile has: TOKEN, USER\" (line 1)", error)
        error = self.guard.run("settings[{}]").done["error"]
        self.assertEqual("KeyError: 'no setting {}; this profile has: none' (line 1)", error)

    def test_cannot_be_changed(self):
        for statement in ("settings['A'] = 'x'", "settings.A = 'x'", "del settings['TOKEN']"):
            self.assertIn(self.guard.run(statement, self.VALUES).done["error_type"], ("TypeError", "AttributeError"))

    def test_values_do_not_leak_by_accident(self):
        execution = self.guard.run(
            "import copy, json, pickle\n"
            "print(settings, repr(settings), '%r' % settings, f'{settings}', settings.values(), settings.items(), [settings])\n"
            "for leak in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars, set_result):\n"
            "    try: print(leak(settings))\n"
            "    except TypeError as error: print(error)\n"
            "    else: raise SystemExit(leak.__name__)\n"
            "settings.x(settings)",
            self.VALUES,
        )
        self.assertEqual("AttributeError", execution.done["error_type"])
        told = execution.stdout + execution.stderr + str(execution.done)
        for value in self.VALUES.values():
            self.assertNotIn(value, told)

    def test_are_not_in_the_environment_or_the_arguments(self):
        execution = self.completed(
            "import os\nfor name in ('environ', 'cmdline'):\n    print(open('/proc/self/' + name).read())\nprint(os.environ)",
            settings=self.VALUES,
        )
        self.assertNotIn("s3cret-value", execution.stdout)


class Llm(Case):
    def started(self, script):
        execution = self.guard.fork()
        execution.send_run(script)
        return execution

    def until(self, execution, kinds):
        """Waits until these frames have come; returns their payloads."""
        self.guard.wait(lambda: [kind for kind, _ in execution.frames] == kinds)
        return [payload for _, payload in execution.frames]

    @staticmethod
    def answer(execution, *answers):
        """Sends `(batch, index, last, kind, text)` in one write."""
        frames = b""
        for batch, index, last, kind, text in answers:
            payload = struct.pack("<IIBB", batch, index, last, kind) + text.encode()
            frames += b"L" + struct.pack("<I", len(payload)) + payload
        execution.channel.sendall(frames)

    def result(self, execution):
        execution.finish()
        return [json.loads(payload) for kind, payload in execution.frames if kind == "V"][0]

    def test_asks_says_that_it_waits_and_takes_the_answer(self):
        execution = self.started("set_result(llm.complete('q?', schema={}))")
        asked, idle = self.until(execution, ["A", "I"])
        texts = [b"q?", b"default", b"{}"]
        self.assertEqual(struct.pack("<I", 1) + b"".join(struct.pack("<I", len(t)) + t for t in texts), asked)
        self.assertEqual(struct.pack("<I", 0), idle)
        self.answer(execution, (1, 0, 1, 0, '{"a": [1]}'))
        self.assertEqual({"a": [1]}, self.result(execution))

    def test_answers_that_arrive_together_are_all_taken(self):
        execution = self.started("set_result(llm.map(['a', 'b', 'c']))")
        self.until(execution, ["A", "I"])
        self.answer(execution, (1, 0, 0, 0, "A"), (1, 1, 0, 0, "B"), (1, 2, 1, 0, "C"))
        self.assertEqual(["A", "B", "C"], self.result(execution))

    def test_an_end_without_an_answer_is_an_exception(self):
        for kind, name in ((1, "LlmTimeout"), (2, "LlmLimit"), (3, "ValueError")):
            execution = self.started("llm.complete('q')")
            self.until(execution, ["A", "I"])
            self.answer(execution, (1, 0, 1, kind, "why"))
            execution.finish()
            report = json.loads(execution.frames[-1][1])
            self.assertEqual((name, name + ": why (line 1)"), (report["error_type"], report["error"]))

    def test_a_thread_that_works_on_is_not_waiting(self):
        execution = self.started(
            "import threading\n"
            "go = threading.Event()\n"
            "def work():\n"
            "    while not go.is_set(): pass\n"
            "threading.Thread(target=work).start()\n"
            "a = llm.complete('1')\n"
            "go.set()\n"
            "set_result([a, llm.complete('2')])"
        )
        self.until(execution, ["A"])
        self.answer(execution, (1, 0, 1, 0, "x"))
        self.until(execution, ["A", "A", "I"])
        self.answer(execution, (2, 0, 1, 0, "y"))
        self.assertEqual(["x", "y"], self.result(execution))

    def test_a_signal_while_it_waits_loses_no_answer(self):
        execution = self.started(
            "import signal\n"
            "def stop(*_): raise TimeoutError\n"
            "signal.signal(signal.SIGALRM, stop)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
            "try: llm.complete('1')\n"
            "except TimeoutError: pass\n"
            "set_result(llm.complete('2'))"
        )
        self.until(execution, ["A", "I", "A", "I"])
        self.answer(execution, (1, 0, 1, 0, "late"), (2, 0, 1, 0, "y"))
        self.assertEqual("y", self.result(execution))


class Concurrency(Case):
    def test_threads_and_asyncio_work(self):
        execution = self.completed(
            "import asyncio, threading, concurrent.futures as f\n"
            "async def one(): await asyncio.sleep(0); return 1\n"
            "async def main(): return sum(await asyncio.gather(one(), one(), asyncio.to_thread(lambda: 1)))\n"
            "with f.ThreadPoolExecutor(3) as pool: squares = list(pool.map(lambda x: x * x, range(4)))\n"
            "set_result([asyncio.run(main()), squares])"
        )
        self.assertEqual([3, [0, 1, 4, 9]], execution.result)

    def test_leftover_threads_do_not_hold_the_result(self):
        script = "import threading\nthreading.Thread(target=threading.Event().wait).start()\nset_result(1)"
        self.assertEqual(1, self.completed(script).result)

    def test_exit_handlers_do_not_run(self):
        self.assertEqual("", self.completed("import atexit\natexit.register(print, 'late')").stdout)

    def test_a_forked_copy_that_reaches_the_end_sends_no_frames(self):
        execution = self.completed(
            "import os, sys\nfor ending in ('pass', 'sys.exit(3)', '1/0'):\n    pid = os.fork()\n"
            "    if pid == 0:\n        set_result('child')\n        exec(ending)\n        break\n"
            "    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\nelse:\n    set_result('parent')"
        )
        self.assertEqual(("parent", "0\n3\n1\n"), (execution.result, execution.stdout))
        self.assertIn("ZeroDivisionError: division by zero\n", execution.stderr)
        self.assertNotIn("<airlock>", execution.stderr)

    def test_garbage_is_collected(self):
        self.completed("import gc\nassert gc.isenabled()")

    def test_random_numbers_differ_between_executions(self):
        script = "import random, uuid, tempfile\nset_result([random.random(), str(uuid.uuid4())])"
        first, second = self.completed(script).result, self.completed(script).result
        self.assertTrue(all(a != b for a, b in zip(first, second)))


if __name__ == "__main__":
    unittest.main()
