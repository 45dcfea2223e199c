"""msgspec and threads: a process that warms its Structs survives their first use on many threads at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from support.step_calls import ROOT

#: Many fresh Structs, each met by six threads at the same moment. A process of its own, because it may crash.
RACE = """
import sys, threading
from typing import Literal
import msgspec
from pushcart import shapes

def fresh():
    class Inner(msgspec.Struct, kw_only=True):
        name: str
        status: Literal["pass", "fail"]
        text: str
    class Outer(msgspec.Struct):
        a: list[Inner]
        b: dict[str, Inner]
        c: Inner | None = None
    return Outer

def meet(shape, start):
    start.wait()
    msgspec.convert({"a": [{"name": "x", "status": "pass", "text": "t"}], "b": {}}, shape)

sys.setswitchinterval(1e-6)
for _ in range(300):
    shape, start = fresh(), threading.Barrier(6)
    if sys.argv[1] == "warm":
        shapes.warm()
    threads = [threading.Thread(target=meet, args=(shape, start)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def race(how: str) -> int:
    paths = {**os.environ, "PYTHONPATH": str(ROOT / "shared")}
    done = subprocess.run([sys.executable, "-c", RACE, how], env=paths, timeout=100, check=False, capture_output=True)
    return done.returncode


def test_warm_structs_are_met_by_many_threads_at_once_and_nothing_happens():
    assert race("warm") == 0


def test_the_control_without_warming_the_process_dies():
    """When this passes no more, msgspec has mended it, and `shapes` can go."""
    assert -signal.SIGSEGV in {race("cold") for _ in range(3)}


@pytest.mark.parametrize("function", sorted(path.parent.name for path in ROOT.glob("functions/*/handler.py")))
def test_every_function_warms_its_structs_before_it_serves(function):
    start = (ROOT / "functions" / function / "handler.py").read_text().split("def start()", 1)[1]
    assert "shapes.warm()" in start.split("\ndef ", 1)[0]
