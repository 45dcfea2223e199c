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

from pushcart import shopcheck_selling, shopcheck_shipping
from pushcart.domain.catalogue import (
    STEP_TYPES,
    AnyStep,
    EmailStep,
    InviteStep,
    PurchaseStep,
    SequenceStep,
    StepSpec,
    delay_seconds,
)
from pushcart.shopcheck_parts import Mistake, amount_mistakes, items, mapping, readable, template_mistakes


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
        if text.startswith("Invalid value") and place + inner.rstrip("`") == f"{place}.step":
            return [(f"{place}.step", f"there is no such step; known are {', '.join(sorted(STEP_TYPES))}")]
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


def across_fields(loaded: dict[Any, Any], mails: Path | None) -> list[Mistake]:
    """The rules that join fields, as far as the fields they join can be read: prices, names, what a step refers to."""
    shop = mapping(loaded.get("shop"))
    products = [(f"products[{number}]", mapping(one)) for number, one in enumerate(items(loaded.get("products")))]
    mistakes = _zone_mistakes(shop.get("timezone"))
    for place, product in products:
        currency = product.get("currency") or shop.get("currency")
        mistakes += amount_mistakes(product.get("price"), currency, f"{place}.price")
    mistakes += _used_twice(products)
    for place, steps in _step_lists(loaded, products):
        for number, step in enumerate(steps):
            mistakes += _step_mistakes(step, f"{place}[{number}]", steps[:number], loaded, mails)
    return mistakes + shopcheck_selling.mistakes(loaded, mails) + shopcheck_shipping.mistakes(loaded)


def _zone_mistakes(zone: Any) -> list[Mistake]:
    try:
        ZoneInfo(zone if isinstance(zone, str) else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return [("shop.timezone", f"{zone!r} is no time zone; write it like Europe/Warsaw")]
    return []


def _used_twice(products: list[tuple[str, dict[Any, Any]]]) -> list[Mistake]:
    mistakes = []
    for field in ("sku", "stripe.price", "stripe.product", "stripe.payment_link"):
        section, _, key = field.rpartition(".")
        values = [(place, (mapping(one.get(section)) if section else one).get(key)) for place, one in products]
        counts = Counter(value for _, value in values if isinstance(value, str))
        mistakes += [
            (f"{place}.{field}", f"{value} is used by another product too")
            for place, value in values
            if isinstance(value, str) and counts[value] > 1
        ]
    return mistakes


def _step_lists(loaded: dict[Any, Any], products: list[tuple[str, dict[Any, Any]]]) -> list[tuple[str, list[Any]]]:
    """Every list of steps with its place; `needs` refers to steps of the same list."""
    every = mapping(loaded.get("every_order"))
    lists = [(f"every_order.{key}", every.get(key)) for key in ("fulfilment", "on_parcel", "on_refund")]
    for place, product in products:
        lists.append((f"{place}.fulfilment", product.get("fulfilment")))
        lists.append((f"{place}.on_refund.steps", mapping(product.get("on_refund")).get("steps")))
    return [(place, items(steps)) for place, steps in lists]


def _name(step: Any) -> Any:
    """What other steps call it, as far as that can be read."""
    raw = mapping(step)
    return raw.get("id") or raw.get("template") or raw.get("step")


def _step_mistakes(
    raw: Any, where: str, earlier: list[Any], loaded: dict[Any, Any], mails: Path | None
) -> list[Mistake]:
    names = [_name(one) for one in earlier]
    mistakes: list[Mistake] = []
    if _name(raw) is not None and _name(raw) in names:
        mistakes.append((where, f"another step here is called {_name(raw)}; give this one an id:"))
    needs = [needed for needed in items(mapping(raw).get("needs")) if isinstance(needed, str)]
    mistakes += [
        (f"{where}.needs", f"no earlier step here is called {needed}") for needed in needs if needed not in names
    ]
    delay = mapping(raw).get("delay")
    if isinstance(delay, str):
        try:
            delay_seconds(delay)
        except ValueError as error:
            mistakes.append((f"{where}.delay", str(error)))
    step = readable(raw, AnyStep)
    if isinstance(step, InviteStep):
        mistakes += _invite_mistakes(step, where, mapping(loaded.get("platforms")))
    elif isinstance(step, EmailStep):
        mistakes += _email_mistakes(step, where, mails)
    elif isinstance(step, PurchaseStep | SequenceStep) and loaded.get("mailing_list") is None:
        mistakes.append((where, f"a {step.kind} needs the section mailing_list:"))
    if isinstance(step, SequenceStep):
        mistakes += _field_mistakes(step, where, [one for one in earlier if _name(one) in needs])
    return mistakes


def _invite_mistakes(step: InviteStep, where: str, platforms: dict[Any, Any]) -> list[Mistake]:
    mistakes = []
    if platforms.get(step.platform) is None:
        mistakes.append((f"{where}.platform", f"the section platforms: has no {step.platform}:"))
    if step.platform == "thinkific" and step.course is None:
        mistakes.append((where, "an enrolment at Thinkific needs course:, the number of the course"))
    return mistakes


def _email_mistakes(step: EmailStep, where: str, mails: Path | None) -> list[Mistake]:
    if (step.template is None) == (step.sendgrid_template is None):
        return [(where, "a mail needs either template: or sendgrid_template:")]
    return template_mistakes(step.template, mails, f"{where}.template") if step.template else []


def _field_mistakes(step: SequenceStep, where: str, needed: list[Any]) -> list[Mistake]:
    """A custom field takes its value from what a step before gives, such as `invite.link`."""
    known = {
        f"{_name(one)}.{key}" for one in needed for key in STEP_TYPES.get(str(mapping(one).get("step")), StepSpec).gives
    }
    hint = f"known here are {', '.join(sorted(known))}" if known else "name the step it comes from under needs:"
    return [
        (f"{where}.fields.{field}", f"there is no {path}; {hint}")
        for field, path in step.fields.items()
        if path not in known
    ]
