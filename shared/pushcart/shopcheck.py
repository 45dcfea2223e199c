"""The mistakes in a shop.yml: all of them, each with its place and its line.

msgspec stops at the first mistake, so the file is walked field by field here and each field converted on its
own; what remains after that are the rules that join fields.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from pushcart.domain import money
from pushcart.domain.catalogue import STEP_TYPES, Catalogue, EmailStep, InviteStep, StepSpec, delay_seconds

#: Where a mistake is (`products[0].price`, or empty for the whole file), and what it is.
Mistake = tuple[str, str]


class Lines:
    """The line of each place (`products[0].price`) in a composed YAML document, and keys written twice."""

    def __init__(self, root: yaml.Node | None) -> None:
        self._lines: dict[str, int] = {"": 1}
        self.duplicates: list[Mistake] = []
        if root is not None:
            self._visit(root, "")

    def of(self, place: str) -> int:
        """The place's line, or that of the nearest thing around it that is there."""
        while place not in self._lines:
            cut = max(place.rfind("."), place.rfind("["))
            place = place[: max(cut, 0)]
        return self._lines[place]

    def _visit(self, node: yaml.Node, place: str) -> None:
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._lines[f"{place}[{number}]"] = item.start_mark.line + 1
                self._visit(item, f"{place}[{number}]")
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = _join(place, str(key.value))
                if inner in self._lines:
                    self.duplicates.append((inner, "is written twice; the second would win"))
                self._lines[inner] = key.start_mark.line + 1
                self._visit(value, inner)


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def in_fields(value: Any, shape: Any, place: str = "") -> list[Mistake]:
    """Mistakes in `value` against a Struct, a list or a plain type, each with its place."""
    if value is None and type(None) in get_args(shape):
        return []
    struct = _struct_of(value, shape)
    if struct is not None and isinstance(value, dict):
        return _walk_struct(value, struct, place)
    item = _item_of(shape)
    if item is not None and isinstance(value, list):
        mistakes = [found for number, one in enumerate(value) for found in in_fields(one, item, f"{place}[{number}]")]
        if mistakes:
            return mistakes
    return _convert(value, shape, place)


def _convert(value: Any, shape: Any, place: str) -> list[Mistake]:
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        text, _, inner = str(error).partition(" - at `$")
        meant = "an amount such as 49.00" if shape is Decimal else _description(shape) if "regex" in text else None
        what = f"should be {meant}, not {value!r}" if meant else text[0].lower() + text[1:]
        return [(place + inner.rstrip("`"), what)]
    return []


def _description(shape: Any) -> str | None:
    """What a pattern means in words, where its type says so."""
    for one in (shape, *get_args(shape)):
        for meta in getattr(one, "__metadata__", ()):
            if meta.description:
                return str(meta.description)
    return None


def _walk_struct(value: dict[Any, Any], struct: type[msgspec.Struct], place: str) -> list[Mistake]:
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    tag = struct.__struct_config__.tag_field
    mistakes = [
        (_join(place, str(name)), f"is not known here; known are {', '.join(sorted(fields))}")
        for name in value
        if name not in fields and name != tag
    ]
    for name, field in fields.items():
        if name in value:
            mistakes += in_fields(value[name], field.type, _join(place, name))
        elif field.required:
            mistakes.append((place, f"needs {name}:"))
    return mistakes


def _struct_of(value: Any, shape: Any) -> type[msgspec.Struct] | None:
    """The Struct that `value` should be: the one in `X | None`, or of a union the one its `step:` names."""
    structs = [one for one in (*get_args(shape), shape) if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    if len(structs) == 1:
        return structs[0]
    if structs and isinstance(value, dict):
        return STEP_TYPES.get(str(value.get("step")))
    return None


def _item_of(shape: Any) -> Any:
    if get_origin(shape) is list:
        return get_args(shape)[0]
    inner = getattr(shape, "__origin__", None)
    return _item_of(inner) if inner is not None and inner is not shape and get_origin(inner) is list else None


def across_fields(catalogue: Catalogue, mails: Path | None) -> list[Mistake]:
    """The rules that join fields: prices, names, what a step refers to."""
    mistakes: list[Mistake] = []
    try:
        ZoneInfo(catalogue.shop.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        mistakes.append(("shop.timezone", f"{catalogue.shop.timezone!r} is no time zone; write it like Europe/Warsaw"))
    for number, product in enumerate(catalogue.products):
        place = f"products[{number}]"
        try:
            money.to_minor(product.price, catalogue.currency_of(product))
        except ValueError as error:
            mistakes.append((f"{place}.price", str(error)))
    mistakes += _used_twice(catalogue)
    for place, steps in catalogue.step_lists():
        names = [step.name for step in steps]
        for number, step in enumerate(steps):
            where = f"{place}[{number}]"
            mistakes += _step_mistakes(step, where, names, number, catalogue, mails)
    return mistakes


def _used_twice(catalogue: Catalogue) -> list[Mistake]:
    mistakes = []
    for field in ("sku", "stripe.price", "stripe.product", "stripe.payment_link"):
        values = []
        for product in catalogue.products:
            value: Any = product
            for part in field.split("."):
                value = getattr(value, part)
            values.append(value)
        counts = Counter(value for value in values if value)
        mistakes += [
            (f"products[{number}].{field}", f"{value} is used by another product too")
            for number, value in enumerate(values)
            if value and counts[value] > 1
        ]
    return mistakes


def _step_mistakes(
    step: StepSpec, where: str, names: list[str], number: int, catalogue: Catalogue, mails: Path | None
) -> list[Mistake]:
    mistakes: list[Mistake] = []
    if names.index(step.name) != number:
        mistakes.append((where, f"another step here is called {step.name}; give this one an id:"))
    for needed in step.needs:
        if needed not in names[:number]:
            mistakes.append((f"{where}.needs", f"no earlier step here is called {needed}"))
    if step.delay is not None:
        try:
            delay_seconds(step.delay)
        except ValueError as error:
            mistakes.append((f"{where}.delay", str(error)))
    if isinstance(step, InviteStep):
        mistakes += _invite_mistakes(step, where, catalogue)
    elif isinstance(step, EmailStep):
        mistakes += _email_mistakes(step, where, mails)
    elif catalogue.mailing_list is None:
        mistakes.append((where, f"a {step.kind} needs the section mailing_list:"))
    return mistakes


def _invite_mistakes(step: InviteStep, where: str, catalogue: Catalogue) -> list[Mistake]:
    mistakes = []
    if getattr(catalogue.platforms, step.platform) is None:
        mistakes.append((f"{where}.platform", f"the section platforms: has no {step.platform}:"))
    if step.platform == "thinkific" and step.course is None:
        mistakes.append((where, "an enrolment at Thinkific needs course:, the number of the course"))
    return mistakes


def _email_mistakes(step: EmailStep, where: str, mails: Path | None) -> list[Mistake]:
    if (step.template is None) == (step.sendgrid_template is None):
        return [(where, "a mail needs either template: or sendgrid_template:")]
    if mails is None or step.template is None:
        return []
    return [
        (f"{where}.template", f"there is no {path.name} in {mails.name}/")
        for path in (mails / f"{step.template}.html", mails / f"{step.template}.txt")
        if not path.exists()
    ]
