"""The mistakes in what shop.yml says about goods that are printed or packed, where fields join."""

from __future__ import annotations

import math
from itertools import product as combinations
from typing import Any

from pushcart.domain.catalogue import AnyStep, PackStep, PrintStep
from pushcart.domain.selling import Option
from pushcart.shopcheck_parts import Mistake, items, mapping, readable

#: Where a parcel's mail is written down.
_ON_PARCEL = "every_order.on_parcel"

#: Choices of one product; each option multiplies them, and their list must not fill the memory.
_MOST_CHOICES = 1000

#: Choices that a mistake names.
_NAMED = 8


def mistakes(loaded: dict[Any, Any]) -> list[Mistake]:
    """Every mistake of this kind, as far as the fields can be read."""
    found: list[Mistake] = []
    sent = False
    for number, one in enumerate(items(loaded.get("products"))):
        raw, place = mapping(one), f"products[{number}]"
        steps = list(enumerate(items(raw.get("fulfilment"))))
        goods = [(f"{place}.fulfilment[{at}]", step) for at, step in steps if _kind(step)]
        sent = sent or bool(goods)
        if goods and raw.get("ships") is not True:
            found.append((f"{place}.ships", "what is printed or packed goes to an address: write ships: true"))
        found += [(where, "one step that sends the product is enough") for where, _ in goods[1:]]
        found += [mistake for where, step in goods for mistake in _variants(raw, where, step)]
        found += _elsewhere(f"{place}.on_refund.steps", mapping(raw.get("on_refund")).get("steps"))
    every = mapping(loaded.get("every_order"))
    for key in ("fulfilment", "on_parcel", "on_refund"):
        found += _elsewhere(f"every_order.{key}", every.get(key))
    if sent and not items(every.get("on_parcel")):
        found.append((_ON_PARCEL, "say which mail a buyer gets for each parcel, such as template: your-parcel"))
    return found


def _kind(step: Any) -> type[PrintStep] | type[PackStep] | None:
    return {"print": PrintStep, "pack": PackStep}.get(str(mapping(step).get("step")))


def _elsewhere(place: str, steps: Any) -> list[Mistake]:
    """What sends goods belongs to the product that it sends."""
    return [
        (f"{place}[{number}]", f"a {mapping(step)['step']} belongs under the fulfilment: of a product")
        for number, step in enumerate(items(steps))
        if _kind(step)
    ]


def _variants(product: dict[Any, Any], where: str, raw: Any) -> list[Mistake]:
    """A print names one variant, or one for each choice of the product's options."""
    step, options = readable(raw, AnyStep), readable(product.get("options", []), list[Option])
    if not isinstance(step, PrintStep) or options is None:
        return []
    if not options:
        right = step.variant is not None and not step.variants
        return [] if right else [(where, "a print needs variant:, the number of Printful's sync variant")]
    number = math.prod(len(option.values) for option in options)
    if number > _MOST_CHOICES:
        return [(where, f"the product has {number} choices; what is printed may have {_MOST_CHOICES}: make it several")]
    choices = [" / ".join(values) for values in combinations(*(option.values for option in options))]
    if step.variant is not None or not step.variants:
        return [(where, f"the product has options: write variants: with a number for each of {_some(choices)}")]
    unknown = [(f"{where}.variants.{name}", "there is no such choice") for name in step.variants if name not in choices]
    missing = [name for name in choices if name not in step.variants]
    return unknown + ([(f"{where}.variants", f"has no number for {_some(missing)}")] if missing else [])


def _some(choices: list[str]) -> str:
    rest = f" and {len(choices) - _NAMED} more" if len(choices) > _NAMED else ""
    return ", ".join(choices[:_NAMED]) + rest
