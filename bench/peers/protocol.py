"""The line protocol of the Python peers, so that one outer program can interleave them with ours.

Not a script. A peer loads its model, then prints {"ready": true, "versions": {…}, …} as its first
line. On stdin it reads a command a line: `run …` does one piece of work and answers one line of JSON
with `seconds`; `quit`, or the end of stdin, ends it. Between commands it waits without using the
processor. What libraries print goes to stderr. A command that cannot be done answers
{"error": "…"}.
"""

import json
import os
import re
import resource
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))  # reference.py: reading models

ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # libraries that print do not disturb the protocol


def peak_rss_mib():
    """Largest resident memory so far. On Linux not `ru_maxrss`, which a process has from its parent at the start."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(re.search(r"^VmHWM:\s*(\d+) kB", status, re.M)[1]) // 1024


def answer(value):
    ANSWERS.write(json.dumps(value) + "\n")
    ANSWERS.flush()


def commands():
    """The words after `run` of each such line, until `quit` or the end of stdin."""
    for line in sys.stdin:
        words = line.split()
        if not words:
            continue
        if words[0] == "quit":
            return
        if words[0] == "run":
            yield words[1:]
        else:
            answer({"error": f"Cannot do {words[0]!r} as a command must be run or quit"})


def serve(run, ready):
    """Answers each command with `run(*words)`, a dict with `seconds`."""
    answer({"ready": True, **ready})
    for words in commands():
        try:
            answer(run(*words))
        except (RuntimeError, TypeError, ValueError) as error:
            answer({"error": str(error)})


def repeat(run, steps, warmup, ready):
    """`warmup` runs that are not counted, then `steps` that are; one JSON summary."""
    for _ in range(warmup):
        run()
    results = [run() for _ in range(steps)]
    seconds = [r["seconds"] for r in results]
    answer({
        "median_s": round(statistics.median(seconds), 4), "runs": seconds, "warmup": warmup,
        **{key: value for key, value in results[-1].items() if key != "seconds"}, **ready,
    })
