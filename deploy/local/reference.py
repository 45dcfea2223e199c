"""The tables of the README that repeat what the code declares; `make docs` writes them, a test compares them."""

from __future__ import annotations

import argparse
import re
import sys

import storefront
from local.shop import ROOT
from pushcart import shopfile
from pushcart.config import SECRETS, TEMPLATE_VARIABLES, VARIABLES, Variable
from pushcart.services.metrics.exposition import METRICS
from storefront.snippets import snippets

README = ROOT / "README.md"


def variables_table(variables: dict[str, Variable]) -> str:
    rows = [f"| `{name}` | {_code(variable.default)} | {variable.about} |" for name, variable in variables.items()]
    return "\n".join(["| Variable | Default | What it is for |", "| --- | --- | --- |", *rows])


def secrets_table() -> str:
    rows = [f"| `{name}` | {secret.expected} | {secret.about} |" for name, secret in SECRETS.items()]
    return "\n".join(["| Secret | Looks like | What it is for |", "| --- | --- | --- |", *rows])


def metrics_table() -> str:
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(map(_code, metric.labels))} | {metric.about} |"
        for metric in METRICS.values()
    ]
    return "\n".join(["| Metric | Type | Labels | What it says |", "| --- | --- | --- | --- |", *rows])


def buttons() -> str:
    """What `pushcart shop links` prints for each product of the shop that comes with Pushcart."""
    catalogue = shopfile.read(storefront.SHOP_FILE)
    made = snippets(catalogue, catalogue.products)
    parts = [f"<!-- {one.name} -->\n" + "\n\n".join(filter(None, (one.link, one.form))) for one in made]
    return "\n".join(["```html", "\n\n".join(parts), "```"])


def blocks() -> dict[str, str]:
    """The generated parts of the README by name."""
    return {
        "buttons": buttons(),
        "metrics": metrics_table(),
        "secrets": secrets_table(),
        "variables": variables_table(VARIABLES),
        "template-variables": variables_table(TEMPLATE_VARIABLES),
    }


def fill(text: str) -> str:
    """The README with its generated parts as the code has them; KeyError for a part the code does not know."""
    made = blocks()
    pattern = re.compile(r"(<!-- reference: ([a-z-]+) -->\n).*?(<!-- end -->)", re.S)
    return pattern.sub(lambda match: f"{match[1]}{made[match[2]]}\n{match[3]}", text)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def main() -> int:
    """With `--write` brings the README up to date; without, 1 when it is not."""
    parser = argparse.ArgumentParser(prog="make docs", description=__doc__)
    parser.add_argument("--write", action="store_true")
    text = README.read_text(encoding="utf-8")
    filled = fill(text)
    if parser.parse_args().write:
        README.write_text(filled, encoding="utf-8")
        return 0
    return int(filled != text)


if __name__ == "__main__":
    sys.exit(main())
