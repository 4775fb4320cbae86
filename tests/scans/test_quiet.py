"""Readers are silent, and nobody else is, however many threads read."""

import os
import subprocess
import sys
import threading
import warnings

from medseg.scans.quiet import quiet

SCRIPT = """
import os, sys, threading, warnings
from medseg.scans.quiet import quiet

reading, done = threading.Barrier(3), threading.Event()

def read():
    with quiet():
        os.write(2, b"noise of a library\\n")
        warnings.warn("noise of a library")
        reading.wait()
        done.wait()

threads = [threading.Thread(target=read) for _ in range(2)]
for thread in threads:
    thread.start()
reading.wait()
late = sys.stderr
print("27 of 40", file=sys.stderr)
done.set()
for thread in threads:
    thread.join()
print("late", file=late, flush=True)
os.write(2, b"after\\n")
"""


def test_progress_is_seen_while_threads_read():
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert found.stderr.splitlines() == ["27 of 40", "late", "after"]


def test_the_last_of_several_readers_ends_the_silence(capfd):
    first, second = threading.Event(), threading.Event()

    def read():
        with quiet():
            first.set()
            second.wait()

    before = warnings.filters[:]
    thread = threading.Thread(target=read)
    thread.start()
    first.wait()
    with quiet():
        pass
    os.write(2, b"hidden")
    second.set()
    thread.join()
    os.write(2, b"shown")
    assert capfd.readouterr().err == "shown"
    assert warnings.filters == before
