"""The floor: what fork, run and exit of the same script cost this machine in bare Python, with what scripts use imported.

Reads a count a line, answers with a JSON list of nanoseconds, one for each fork, run, exit and wait.
"""

import gc, json, os, sys, time
import asyncio, concurrent.futures, csv, ctypes, dataclasses, datetime, decimal, email.message, encodings.idna, hashlib
import hmac, http.client, inspect, logging, multiprocessing, random, re, sqlite3, ssl, statistics, subprocess, tempfile
import threading, traceback, typing, urllib.request, uuid, xml.etree.ElementTree, zoneinfo

code = compile(sys.argv[1], "<script>", "exec")
gc.collect()
gc.freeze()
print(os.getpid(), flush=True)

for line in sys.stdin:
    took = []
    for _ in range(int(line)):
        start = time.perf_counter_ns()
        child = os.fork()
        if child == 0:
            exec(code, {"__name__": "__main__", "set_result": json.dumps})
            os._exit(0)
        os.waitpid(child, 0)
        took.append(time.perf_counter_ns() - start)
    print(json.dumps(took), flush=True)
