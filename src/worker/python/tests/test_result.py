"""`set_result`: what it takes, and how it names what it doesn't take."""

import json
import unittest

from test_script import Case


class Results(Case):
    def problem(self, expression, before=""):
        done = self.guard.run("%s\nset_result(%s)" % (before, expression)).done
        self.assertEqual("TypeError", done["error_type"], done)
        self.assertIn("set_result(", done["traceback"])
        self.assertNotIn("<airlock>", done["traceback"])
        return done["error"]

    def test_what_json_holds(self):
        for value in (None, True, 0, -1.5, "", "é\u2028\U0001f600\0", [], {}, [[{"a": [None]}]], 10**30):
            self.assertEqual(value, self.completed("set_result(%r)" % (value,)).result)

    def test_tuples_int_keys_and_subclasses_are_as_in_json(self):
        execution = self.completed(
            "import enum, collections\nclass E(enum.IntEnum):\n    A = 1\n"
            "set_result([(1, 2), {1: 2}, E.A, collections.OrderedDict(a=1), collections.namedtuple('P', 'x')(5)])"
        )
        self.assertEqual([[1, 2], {"1": 2}, 1, {"a": 1}, [5]], execution.result)

    def test_is_utf8_and_compact(self):
        frames = self.completed("set_result({'a': ['é', 1]})").frames
        self.assertEqual(("V", '{"a":["é",1]}'.encode()), frames[0])

    def test_none_set_is_no_frame(self):
        self.assertEqual(["D"], [kind for kind, _ in self.completed("x = 1").frames])

    def test_the_last_call_wins_and_later_changes_have_no_effect(self):
        self.assertEqual([1], self.completed("set_result(2)\na = [1]\nset_result(a)\na.append(2)").result)

    def test_a_result_before_an_error_is_sent(self):
        execution = self.guard.run("set_result(1)\n1/0")
        self.assertEqual((1, "ZeroDivisionError"), (execution.result, execution.done["error_type"]))

    def test_a_refused_call_leaves_the_one_before(self):
        self.assertEqual(1, self.completed("set_result(1)\ntry: set_result({1})\nexcept TypeError: pass").result)

    def test_works_from_a_thread_and_from_a_function_of_an_import(self):
        script = "import threading, airlock\nt = threading.Thread(target=airlock.set_result, args=(3,))\nt.start()\nt.join()"
        self.assertEqual(3, self.completed(script).result)

    def test_problems_name_their_path(self):
        for expression, expected in (
            ("{'rows': [1, 2, 3, {'when': datetime.datetime(2020, 1, 1)}]}", '["rows"][3]["when"]: datetime; use .isoformat()'),
            ("{'x': float('nan')}", '["x"]: NaN is not valid JSON; use None'),
            ("[float('-inf')]", "[0]: Infinity is not valid JSON; use None"),
            ("b'x'", ": bytes; use .decode() or base64"),
            ("[{1}]", "[0]: set; use sorted() or list()"),
            ("decimal.Decimal('1.5')", ": Decimal; use str() or float()"),
            ("{'a': Point(1)}", '["a"]: Point; use dataclasses.asdict()'),
            ("[Colour.RED]", "[0]: Colour; use .value"),
            ("pathlib.Path('.')", ": PosixPath; use str()"),
            ("(i for i in ())", ": generator; use list()"),
            ("[{}.keys()]", "[0]: dict_keys; use list()"),
            ("[object()]", "[0]: object; use a str, a number, a bool, None, a list or a dict"),
            ("settings", ": Settings; credentials don't belong in a result"),
            ("{(1, 2): 3}", "[<tuple>]: a key of type tuple; use a str"),
            ("{'a': {b'k': 1}}", '["a"][<bytes>]: a key of type bytes; use a str'),
            ("{float('nan'): 1}", "[nan]: a key that is NaN or infinite; use a str"),
            ("[cycle]", "[0][0]: contains itself; JSON has no references"),
            ("['\\udc80']", '[0]: text with a lone surrogate; use .encode("utf-8", "replace").decode()'),
            ("deep", ": nested too deeply for JSON; flatten it"),
            ("{'k' * 1000: {1}}", '["%s"]: set; use sorted() or list()' % ("k" * 60)),
        ):
            with self.subTest(expression):
                before = (
                    "import datetime, decimal, dataclasses, enum, pathlib; cycle = []; cycle.append(cycle)\n"
                    "@dataclasses.dataclass\nclass Point:\n    x: int\nclass Colour(enum.Enum):\n    RED = 1\n"
                    "deep = []\nfor _ in range(200000): deep = [deep]\n"
                )
                self.assertEqual("TypeError: result%s (line 10)" % expected, self.problem(expression, before))

    def test_third_party_kinds_are_known_by_name(self):
        before = "class ndarray: __module__ = 'numpy'\nclass DataFrame: __module__ = 'pandas.core.frame'"
        self.assertIn("result[0]: ndarray; use .tolist()", self.problem("[ndarray()]", before))
        self.assertIn('result: DataFrame; use .to_dict("records")', self.problem("DataFrame()", before))

    def test_values_are_not_in_the_message(self):
        self.assertNotIn("s3cret", json.dumps(self.guard.run("a = b's3' + b'cret'\nset_result([a])").done))

    def test_too_large(self):
        execution = self.guard.run("set_result('ok')\nset_result('x' * 1000)", result_bytes=1001)
        self.assertEqual("ResultTooLarge", execution.done["error_type"])
        self.assertIn("1002 bytes of JSON, the limit is 1001; return fewer rows", execution.done["error"])
        self.assertTrue(execution.done["error"].endswith("(line 2)"))
        self.assertEqual("ok", execution.result)
        self.completed("set_result('x' * 999)", result_bytes=1001)
        self.completed("import airlock\ntry: set_result('xx')\nexcept airlock.ResultTooLarge: pass", result_bytes=1)

    def test_a_large_result_arrives_whole(self):
        self.assertEqual(8_000_000, len(self.completed("set_result('x' * 8_000_000)", result_bytes=1 << 24).result))


if __name__ == "__main__":
    unittest.main()
