"""`make bench`: measures, shows, and keeps what it found; `ONLY=ack` measures a part and keeps nothing.

Ends with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from bench import ack, alerts, chain, checkout, memory, metrics, recovery, report, site, sweep
from bench.surroundings import ROOT, scratch
from pushcart.clock import system_clock, to_instant

PARTS = {
    "ack": ack.measure,
    "checkout": checkout.measure,
    "chain": chain.measure,
    "memory": memory.measure,
    "sweep": sweep.measure,
    "metrics": metrics.measure,
    "recovery": recovery.measure,
    "alerts": alerts.measure,
    "site": site.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="What Pushcart costs on this machine.")
    parser.add_argument("--only", choices=PARTS, help="measure a part; the record stays as it is")
    only = parser.parse_args().only
    console = Console()
    record: report.Record = {"measured_at": to_instant(system_clock()), "machine": report.machine()}
    with scratch() as folder:
        for name in [only] if only else PARTS:
            (folder / name).mkdir()
            record |= PARTS[name](folder / name, lambda text: console.print(f"[dim]{text} ...[/]"))
    changes = report.worse(record, report.history(report.FOLDER))
    report.show(console, record, changes)
    if not only:
        report.keep(report.FOLDER, record)
        readme = ROOT / "README.md"
        readme.write_text(report.fill(readme.read_text(encoding="utf-8"), record), encoding="utf-8")
    return 1 if report.missed(record) else 0


if __name__ == "__main__":
    sys.exit(main())
