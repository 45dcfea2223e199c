"""`make site`: builds the static shop."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pushcart import shopfile
from pushcart.errors import ConfigurationError
from storefront.building import HEAVY, OUT, SHOP_FILE, SITE, Built, build
from storefront.progress import Progress as Tell


def main() -> int:
    """0 when the site was built, 1 when there are mistakes, which are listed; the old site stays then."""
    parser = argparse.ArgumentParser(prog="make site", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder that is uploaded; its old content goes")
    parser.add_argument("--shop", type=Path, default=SHOP_FILE, help="the shop.yml to use")
    parser.add_argument("--site", type=Path, default=SITE, help="the folder with images/, pages/ and theme.css")
    options = parser.parse_args()
    console = Console(highlight=False)
    try:
        catalogue = shopfile.read(options.shop)
        with bar(console) as tell:
            built = build(catalogue, options.out, site=options.site, progress=tell)
    except ConfigurationError as error:
        for problem in error.problems:
            console.print(problem, soft_wrap=True, markup=False)
        console.print(f"Nothing was built. Mistakes: {len(error.problems)}.", soft_wrap=True)
        return 1
    console.print(summary(built), soft_wrap=True, markup=False)
    return 0


@contextmanager
def bar(console: Console) -> Iterator[Tell | None]:
    """A progress bar, on a terminal only."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("Building"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[what]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, what="")
        yield lambda done, total, what: progress.update(task, completed=done, total=total, what=what)


def summary(built: Built) -> str:
    """What was built, in one line."""
    largest = f"largest page /{built.largest} {built.largest_bytes / 1000:.1f} KB"
    line = f"{built.out}: {built.pages} pages, {built.images} images in {built.seconds:.1f} s, {largest}."
    return f"{line} That is above {HEAVY // 1000} KB: slow on a phone." if built.heavy else line


if __name__ == "__main__":
    sys.exit(main())
