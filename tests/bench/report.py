"""What becomes of the figures: goals, comparison with earlier runs, the record, and how they are shown."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Column, Table

Record = dict[str, Any]

#: Where the record lies.
FOLDER = Path(__file__).parent

#: A figure this much worse than the median of earlier runs on the same machine is pointed out.
NOTABLE = 0.20
KEPT_RUNS = 20
#: Earlier runs it takes to know what is usual.
ENOUGH_RUNS = 2
BLOCK = re.compile(r"(<!-- bench -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Figure:
    """One figure of the record. `goal` bounds it from above, or from below when more is better."""

    key: str
    label: str
    unit: str = ""
    goal: float | None = None
    more_is_better: bool = False

    def misses(self, value: float) -> bool:
        if self.goal is None:
            return False
        return value < self.goal if self.more_is_better else value > self.goal

    def worse(self, value: float, usual: float) -> bool:
        """Whether `value` is notably worse than `usual`."""
        if self.more_is_better:
            return value < usual * (1 - NOTABLE)
        return value > usual * (1 + NOTABLE)

    def show(self, value: float) -> str:
        return f"{_number(value)} {self.unit}".strip()

    @property
    def goal_text(self) -> str:
        if self.goal is None:
            return ""
        if self.goal == 0:
            return "0"
        return ("at least " if self.more_is_better else "at most ") + self.show(self.goal)


FIGURES = (
    Figure("ack_rate_vs_constant", "Webhooks acknowledged, against a constant answer", "", 0.60, True),
    Figure("ack_p99_vs_constant", "p99 at 50 a second, against a constant answer's", "times", 5.0),
    Figure("ack_per_s", "Webhooks acknowledged, flat out", "/s", None, True),
    Figure("constant_per_s", "The template answering a constant, flat out", "/s", None, True),
    Figure("sqlite_inserts_per_s", "Bare SQLite commits of the same body", "/s", None, True),
    Figure("ack_rate_vs_sqlite", "Webhooks acknowledged, against bare SQLite commits", "", None, True),
    Figure("ack_p50_ms", "Acknowledgement at 50 a second, p50", "ms"),
    Figure("ack_p99_ms", "Acknowledgement at 50 a second, p99", "ms"),
    Figure("constant_p99_ms", "A constant answer at 50 a second, p99", "ms"),
    Figure("checkout_per_s", "Carts taken, order and Stripe's session, flat out", "/s", None, True),
    Figure("checkout_rate_vs_constant", "The same, against a constant answer to a cart", "", None, True),
    Figure("checkout_p50_ms", "Cart to Stripe's session at 20 a second, p50", "ms"),
    Figure("checkout_p99_ms", "Cart to Stripe's session at 20 a second, p99", "ms"),
    Figure("checkout_constant_p99_ms", "A constant answer to a cart at 20 a second, p99", "ms"),
    Figure("checkout_link_per_s", "Carts taken, order and signed link, flat out", "/s", None, True),
    Figure("checkout_link_p50_ms", "Cart to signed link at 20 a second, p50", "ms"),
    Figure("links_signed_per_s", "Links signed, by one process", "/s", None, True),
    Figure("chain_p50_ms", "Webhook to fulfilled, p50", "ms", 300),
    Figure("chain_p95_ms", "Webhook to fulfilled, p95", "ms"),
    Figure("burst_lost", "Orders lost or not exactly once, of a burst of 1,000", "", 0),
    Figure("burst_orders_per_s", "Orders fulfilled in that burst", "/s", 20, True),
    Figure("pss_mib_max", "Memory (PSS) of the largest function, on SQLite", "MiB", 55),
    Figure("pss_mib_max_any_store", "The same on the store where it is largest", "MiB", 55),
    Figure("pss_mib_sum", "Memory (PSS) of all functions together, on SQLite", "MiB"),
    Figure("burst_pss_mib_max", "Memory (PSS) of the largest function after that burst", "MiB"),
    Figure("cold_start_s_max", "Process start to first 200, the slowest", "s", 1),
    Figure("sweep_ratio_sqlite", "Sweep of 100 due among 200,000 orders, against 1,000, SQLite", "times", 1.5),
    Figure("sweep_ratio_mongo", "The same on MongoDB", "times", 1.5),
    Figure("sweep_crossing_mongo", "Commands and documents to and from a stand-in for it, 1,200 against 300", "times"),
    Figure("metrics_ms", "Scrape of `/metrics` among 200,000 orders, with a look into SQLite", "ms", 250),
    Figure("metrics_kept_ms", "The same within 15 s of such a look", "ms"),
    Figure("metrics_pss_mib_before", "Memory (PSS) of order-store there, before the first scrape", "MiB"),
    Figure("metrics_pss_mib", "The same after 200 scrapes", "MiB", 55),
    Figure("catch_up_s", "1,000 events that never arrived, until all are in the inbox", "s"),
    Figure("recovery_s_10000", "Recovery over 10,000 orders and their payments, SQLite", "s"),
    Figure("recovery_s_100000", "The same over 100,000", "s"),
    Figure("recovery_peak_mib", "The most memory it takes there (RSS of its process)", "MiB"),
    Figure("recovery_peak_ratio", "The same against 10,000 orders", "times", 1.2),
    Figure("alert_ms", "From a provider's refusal to the message on the telephone", "ms"),
    Figure("alert_ms_max", "The slowest of five", "ms"),
    Figure("site_s_10", "`make site` with 10 products, the first time", "s"),
    Figure("site_again_s_10", "The same again", "s"),
    Figure("site_s_1000", "`make site` with 1,000 products, the first time", "s"),
    Figure("site_again_s_1000", "The same again", "s"),
    Figure("page_kb_max", "Largest page with style sheet and script, without pictures", "KB", 60),
    Figure("script_kb_max", "The most script that a page has", "KB", 12),
    Figure("picture_kb_max", "Largest picture file in the demo shop", "KB"),
)

#: Figures by function, and what they count in.
BY_FUNCTION = {"pss_mib": Figure("pss_mib", "Memory", "MiB"), "cold_start_s": Figure("cold_start_s", "Cold start", "s")}


#: Figures by page of the shop, as a slow phone has them.
BY_PAGE = {
    "fcp_ms": Figure("fcp_ms", "First paint", "ms"),
    "lcp_ms": Figure("lcp_ms", "Largest paint", "ms"),
    "cls": Figure("cls", "Layout shift"),
    "blocked_ms": Figure("blocked_ms", "Blocked", "ms"),
    "sent_kb": Figure("sent_kb", "Sent", "KB"),
}


@dataclass(frozen=True)
class Change:
    """A figure that is notably worse than usual."""

    label: str
    now: str
    usual: str


def rows(record: Record) -> list[tuple[str, str, str, str]]:
    """Label, value, goal and verdict of each figure; one that could not be measured here has no verdict but says so."""
    shown = []
    for figure in FIGURES:
        if figure.key not in record:
            continue
        value = record[figure.key]
        if value is None:
            shown.append((figure.label, "not measured", figure.goal_text, ""))
        else:
            verdict = "" if figure.goal is None else "missed" if figure.misses(value) else "met"
            shown.append((figure.label, figure.show(value), figure.goal_text, verdict))
    return shown


def measured(record: Record) -> list[tuple[Figure, float]]:
    """The figures that the record holds, in the table's order."""
    return [(figure, record[figure.key]) for figure in FIGURES if record.get(figure.key) is not None]


def missed(record: Record) -> list[Figure]:
    """The figures that miss their goal."""
    return [figure for figure, value in measured(record) if figure.misses(value)]


def worse(record: Record, history: Iterable[Record]) -> list[Change]:
    """What got worse than the median of earlier runs on the same machine."""
    earlier = [_flat(run) for run in history if run.get("machine") == record["machine"]]
    changes = []
    for (figure, name), value in _flat(record).items():
        known = [run[figure, name] for run in earlier if (figure, name) in run]
        usual = median(known) if len(known) >= ENOUGH_RUNS else None
        if usual is not None and figure.worse(value, usual):
            label = f"{figure.label}, {name}" if name else figure.label
            changes.append(Change(label, figure.show(value), figure.show(usual)))
    return changes


def _flat(record: Record) -> dict[tuple[Figure, str], float]:
    """Every figure of a run, also those by function and by page, under the figure and the function's or page's name."""
    flat = {(figure, ""): value for figure, value in measured(record)}
    for key, figure in (BY_FUNCTION | BY_PAGE).items():
        flat |= {(figure, name): value for name, value in record.get(key, {}).items()}
    return flat


def machine() -> str:
    """This machine, as far as it decides on the figures."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores, system = len(os.sched_getaffinity(0)), f"{platform.system()} {platform.release()}"
    name = model[1] if model else platform.machine()
    python = f"Python {platform.python_version()}"
    return f"{name}, {cores} cores, {pages / 2**30:.0f} GiB, {system}, {python}"


def keep(folder: Path, record: Record) -> None:
    """Writes `latest.json` and adds the run to `history.jsonl`, which keeps the last twenty."""
    (folder / "latest.json").write_text(json.dumps(record, indent=2) + "\n")
    runs = [*history(folder), record][-KEPT_RUNS:]
    (folder / "history.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))


def history(folder: Path) -> list[Record]:
    """Earlier full runs, oldest first."""
    path = folder / "history.jsonl"
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def fill(readme: str, record: Record) -> str:
    """The README with this run between its marks; ValueError when the marks are gone."""
    text = _block(record)
    filled, times = BLOCK.subn(lambda match: f"{match[1]}{text}{match[2]}", readme)
    if times != 1:
        raise ValueError("README.md should have one <!-- bench --> ... <!-- end -->; put it back")
    return filled


def _block(record: Record) -> str:
    figures = [
        (label, here + (" **(missed)**" if verdict == "missed" else ""), goal)
        for label, here, goal, verdict in rows(record)
    ]
    head, each = functions(record)
    tables = [_markdown(("Figure", "Here", "Goal"), figures)]
    if "lcp_ms" in record:
        tables.append(_markdown(*pages(record)))
    tables.append(_markdown(head, [(f"`{name}`", *cells) for name, *cells in each]))
    return "\n".join(
        [
            f"Measured on {record['measured_at'][:10]} with `make bench` on {record['machine']}.",
            *(line for table in tables for line in ("", *table)),
            "",
        ]
    )


def functions(record: Record) -> tuple[list[str], list[list[str]]]:
    """The table by function: memory on each kind of store, cold start and imports."""
    stores: Mapping[str, Mapping[str, float]] = record["pss_mib_by_store"]
    head = ["Function", *(f"MiB on {kind}" for kind in stores), "Cold start, s", "Imports that cost most, MiB"]
    each = [
        [name, *(_number(memory[name]) for memory in stores.values()), _number(seconds), _imports(record, name)]
        for name, seconds in record["cold_start_s"].items()
    ]
    return head, each


def pages(record: Record) -> tuple[list[str], list[list[str]]]:
    """The table by page of the shop: what a slow phone makes of it."""
    head = ["Page, on a slow phone", *(figure.label for figure in BY_PAGE.values())]
    each = [[name, *(figure.show(record[key][name]) for key, figure in BY_PAGE.items())] for name in record["lcp_ms"]]
    return head, each


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _imports(record: Record, name: str) -> str:
    costs: Mapping[str, float] = record.get("imports_mib", {}).get(name, {})
    return ", ".join(f"{package} {_number(mib)}" for package, mib in costs.items())


def show(console: Console, record: Record, changes: Sequence[Change]) -> None:
    """The run in the terminal."""
    table = Table("Figure", "Here", "Goal", "", title=f"What it costs, {record['measured_at']}")
    for *cells, verdict in rows(record):
        table.add_row(*cells, f"[{COLOURS[verdict]}]{verdict}[/]" if verdict else "")
    console.print(table)
    if "lcp_ms" in record:
        head, each = pages(record)
        by_page = Table(*head)
        for cells in each:
            by_page.add_row(*cells)
        console.print(by_page)
    if "pss_mib" in record:
        head, each = functions(record)
        by_function = Table(Column(head[0], no_wrap=True), *head[1:-1])
        for *cells, _ in each:
            by_function.add_row(*cells)
        console.print(by_function)
        for name, *_, imports in each:
            console.print(f"{name} imports, MiB: {imports}")
    for key, text in NOTES.items():
        if key in record:
            console.print(f"{text}: {_plain(record[key])}")
    for change in changes:
        console.print(f"[red]worse[/] {change.label}: {change.now}, usually {change.usual}")


COLOURS = {"missed": "red", "met": "green"}

#: What the terminal says besides.
NOTES = {
    "load_client_per_s": "The load client alone can do (requests a second)",
    "checkout_constant_per_s": "The template answering a constant to a cart (requests a second)",
    "checkout_constant_p50_ms": "The same at 20 a second, p50, ms",
    "checkout_link_rate_vs_constant": "Carts taken with a signed link, against a constant answer",
    "sandbox_sessions_per_s": "The sandbox's Stripe alone makes (sessions a second)",
    "site_picture_s": "A picture in all its sizes takes, s",
    "burst_webhooks_per_s": "The burst's webhooks came in at (a second)",
    "burst_cpu_ms_per_order": "Processor time for each order of the burst, ms",
    "burst_pss_mib": "Memory after the burst, MiB",
    "catch_up_events_per_s": "Those events came in at (a second)",
    "recovery_orders_per_s": "The recovery compared (orders a second)",
    "sweep_ms_sqlite": "That sweep among 200,000 orders on SQLite, ms",
    "sweep_ms_mongo": "That sweep among 200,000 orders on MongoDB, ms",
}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    return value if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    """Three digits that count, or all before the point."""
    if float(value).is_integer() and abs(value) < 100:
        return f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
