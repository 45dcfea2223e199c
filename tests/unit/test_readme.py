"""The README repeats what the code declares, and this is where they would part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli import root
from local import reference
from pushcart.domain import alerting, catalogue, selling
from pushcart.services.owner import Owner
from pushcart.services.stripe_inbox import EVENT_TYPES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SECTIONS = {
    "`shop`": catalogue.Shop,
    "`products[]`": catalogue.Product,
    "`products[].stripe`": catalogue.Sold,
    "`products[].on_refund`": catalogue.OnRefund,
    "`every_order`": catalogue.EveryOrder,
    "`platforms.discourse`": catalogue.DiscoursePlatform,
    "`platforms.thinkific`": catalogue.ThinkificPlatform,
    "`platforms.http`": catalogue.HttpPlatform,
    "`mailing_list.kit`": catalogue.Kit,
    "`alerts`": alerting.AlertSettings,
    "`stripe`": catalogue.StripeSettings,
    "`products[].options[]`": selling.Option,
    "`site`": selling.Site,
    "`checkout`": selling.CheckoutSettings,
    "`checkout.shipping`": selling.ShippingSettings,
    "`checkout.shipping.rates[]`": selling.ShippingRate,
    "`checkout.discounts[]`": selling.Discount,
    "Every step": catalogue.StepSpec,
    **{f"`step: {kind}`": shape for kind, shape in catalogue.STEP_TYPES.items()},
}


def rows(heading: str) -> dict[str, str]:
    """The keys in the table under a heading, and whether they are needed."""
    section = README.split(f"#### {heading}\n", 1)[1].split("\n#", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", section, re.M))


def declared(shape: type[msgspec.Struct]) -> dict[str, str]:
    common = (
        set() if shape is catalogue.StepSpec else {field.name for field in msgspec.structs.fields(catalogue.StepSpec)}
    )
    fields = msgspec.structs.fields(shape)
    return {
        field.name: "yes" if field.required else "no"
        for field in fields
        if field.name not in common or not issubclass(shape, catalogue.StepSpec)
    }


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_keys_of_shop_yml_are_the_ones_the_code_knows(heading):
    expected = declared(SECTIONS[heading])
    if heading == "Every step":
        expected["step"] = "yes"
    assert rows(heading) == expected


def test_every_part_of_shop_yml_is_described():
    described = set(SECTIONS.values())
    structs = {
        value
        for module in (catalogue, selling)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
    }
    # These only hold sections that are described themselves.
    assert structs - described == {catalogue.Catalogue, catalogue.Platforms, catalogue.MailingList}


def test_the_tables_of_secrets_and_variables_are_the_codes():
    assert reference.fill(README) == README, "run make docs"


def test_a_table_that_differs_would_be_noticed():
    assert reference.fill(README.replace("| `gateway_url` |", "| `gateway` |")) == README


def test_the_events_to_subscribe_to_are_the_ones_we_handle():
    paragraph = README.split("subscribed to\n", 1)[1].split("For live payments", 1)[0]
    assert set(re.findall(r"`([a-z_.]+)`", paragraph)) == EVENT_TYPES


def test_every_dependency_has_its_reason():
    named = set(re.findall(r"^\| ([a-z][a-z-]*(?:, [a-z-]+)*) \|", README.split("## Dependencies")[1], re.M))
    named = {name for row in named for name in row.split(", ")}
    wanted = {
        line.partition("[")[0].strip()
        for line in (ROOT / "requirements.in").read_text().splitlines()
        if line.strip() and line[0] != "#"
    }
    assert named == wanted


def test_every_file_and_make_target_that_is_named_exists():
    for path in re.findall(r"\]\((deploy/[^)]+|[A-Z]+\.md)\)", README):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def tree(group, path=("pushcart",)):
    """Every command of a click group, as it is typed."""
    for name, command in group.commands.items():
        yield from tree(command, (*path, name)) if hasattr(command, "commands") else [" ".join((*path, name))]


def test_the_commands_are_the_ones_the_code_has():
    section = README.split("## Day to day", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^\| `(pushcart [^`]+)` \|", section, re.M) == list(tree(root.pushcart))


def test_every_option_of_a_command_that_is_named_exists():
    section = README.split("## Day to day", 1)[1].split("\n## ", 1)[0]
    groups = (root.pushcart, *(one for one in root.pushcart.commands.values() if hasattr(one, "commands")))
    commands = [*groups, *(one for group in groups for one in group.commands.values())]
    known = {name for command in commands for option in command.params for name in option.opts}
    assert set(re.findall(r"--[a-z][a-z-]*", section)) <= known


def test_the_exit_codes_are_the_ones_that_help_tells():
    told = dict(re.findall(r"^  (\d)  (.+)$", root.EXIT_CODES, re.M))
    described = dict(re.findall(r"^\| (\d) \| (.+) \|$", README, re.M))
    assert told.keys() == described.keys() == {"0", "1", "2", "3"}
    assert all(described[code].lower().startswith(text.lower()) for code, text in told.items())


def test_the_routes_of_the_owners_api_are_described():
    """And what is described is a route of some function, by what its handler says on top."""
    paragraph = README.split("which other programs of yours may do", 1)[1].split("\n\n", 1)[0]
    described = set(re.findall(r"`((?:GET|POST) /[^`]*)`", paragraph))
    nobody: Any = None
    routes = Owner(*[nobody] * 6).routes()
    assert len(routes) >= 10
    assert {f"{method} {rule.replace('<id>', 'ID')}" for method, rule, _ in routes} <= described
    said = " ".join(path.read_text().split('"""')[1] for path in (ROOT / "functions").glob("*/handler.py"))
    routes_said = {
        f"{method} {rule}"
        for method, rules in re.findall(r"^ {4}(GET|POST) +(/[^\s,]*(?:, /[^\s,]+)*)", said, re.M)
        for rule in rules.split(", ")
    }
    assert described <= routes_said
