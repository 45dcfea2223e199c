"""What a function imports until it listens, and what each import costs; run in a fresh process.

    python probe.py BUILD        BUILD is a function's laid-out folder, as `local.gateway.layout` makes it

Does what index.py does up to the listening server and prints JSON: `modules`; `cpu_seconds`, the processor time since
the process began; `grown`, the private KiB that each package brought with it: its own modules and those of the standard
library that it was the first to import, without what other packages below it brought.
"""

from __future__ import annotations

import builtins
import json
import os
import resource
import sys
import time
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

PAGE_KIB = resource.getpagesize() / 1024


def private_kib() -> float:
    """Resident memory that is not mapped from files."""
    with open("/proc/self/statm") as file:
        _, resident, shared, *_ = file.read().split()
    return (int(resident) - int(shared)) * PAGE_KIB


class Ledger:
    """Stands in for `__import__` and books what every import adds to the package that is imported."""

    def __init__(self) -> None:
        self.grown: Counter[str] = Counter()
        self._import = builtins.__import__
        #: What was booked to others, below the import under way.
        self._below = [0.0]

    def __call__(self, name: str, names: Any = None, local: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        package = ((names or {}).get("__package__") or "") if level else name
        root = package.partition(".")[0]
        if root in sys.stdlib_module_names or (not fromlist and not level and name in sys.modules):
            return self._import(name, names, local, fromlist, level)
        self._below.append(0.0)
        before = private_kib()
        try:
            return self._import(name, names, local, fromlist, level)
        finally:
            grown = private_kib() - before
            self.grown[root] += grown - self._below.pop()
            self._below[-1] += grown


def main(build: str) -> None:
    ledger = builtins.__import__ = Ledger()
    index_file = os.path.join(build, "index.py")
    spec = spec_from_file_location("index", index_file)
    assert spec is not None
    assert spec.loader is not None
    index = module_from_spec(spec)
    spec.loader.exec_module(index)
    index.prepare()
    cpu_seconds = time.process_time()
    grown = {name: round(kib) for name, kib in ledger.grown.most_common()}
    print(json.dumps({"modules": sorted(sys.modules), "cpu_seconds": cpu_seconds, "grown": grown}), flush=True)
    # As index.py: a thread that start() made must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
