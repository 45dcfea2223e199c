"""Every way in which one field of a JSON document can be other than expected, one at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

#: Where a value stands in a document.
Place = tuple[str | int, ...]

DROPPED = object()

#: What a field can be instead, by name. `huge` fits no clock, `text` no address, and NUL no PostgreSQL column.
INSTEAD: dict[str, Any] = {
    "dropped": DROPPED,
    "null": None,
    "empty text": "",
    "text": "żółw \u0000\u202e🐢 ../?#",
    "long text": "x" * 3000,
    "lone surrogate": "\ud83d",
    "number": 7,
    "fraction": 0.5,
    "huge": 10**18,
    "huger": 10**40,
    "negative": -5,
    "true": True,
    "list": [],
    "list of text": ["x"],
    "dict": {},
    "dict with an id": {"id": ["x"]},
}


def places(document: Any, at: Place = ()) -> Iterator[Place]:
    """Every place in the document, from the outside to the inside."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inside if isinstance(document, dict | list) else ():
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


def mutated(document: Any, place: Place, value: Any) -> Any:
    """A copy of the document with another value at this place."""
    changed = copy.deepcopy(document)
    inside = changed
    for key in place[:-1]:
        inside = inside[key]
    if value is DROPPED:
        del inside[place[-1]]
    else:
        inside[place[-1]] = copy.deepcopy(value)
    return changed


def mutations(document: Any, only: Sequence[Place] | None = None) -> Iterator[tuple[Place, str, Any]]:
    """(place, name, document) for every place (of `only`) and everything it can hold instead of what it holds."""
    for place in places(document):
        if only is not None and place not in only:
            continue
        for name, value in INSTEAD.items():
            yield place, name, mutated(document, place, value)


def dotted(place: Place) -> str:
    """The place as one reads it: `data.object.id`."""
    return ".".join(str(key) for key in place)
