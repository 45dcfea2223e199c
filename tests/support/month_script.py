"""What happens in a simulated month: who buys what when, what becomes of it, and what goes wrong outside.

All of it comes from one seed. Times are seconds since the month began; it begins at six in the morning, UTC.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from support.carts import APRON, COURSE, HOME, PLANS
from support.customers import GLAZE, WHEEL
from support.customers import PLANS as PLANS_LINK

HOUR, DAY = 3600, 86_400

KIT_LINK = "plink_1PushcartClayKit"
KIT = {"sku": "clay-kit", "quantity": 1, "price": 2400}

#: What each payment link sells.
LINKS = {WHEEL: "wheel-basics", GLAZE: "glaze-chemistry", PLANS_LINK: "studio-plans", KIT_LINK: "clay-kit"}

#: The share of each way that an order of shirts may go at Printful.
FATES = {
    "made": 50,
    "held": 10,
    "failed": 10,
    "partial": 10,
    "reshipped": 6,
    "returned": 6,
    "cancelled": 4,
    "given back": 4,
}

#: The share of what may become of the money later; `transfer` is paid days after the purchase, or never.
MONEY = {
    "kept": 70,
    "partly refunded": 7,
    "refunded": 7,
    "disputed": 2,
    "dispute won": 2,
    "dispute lost": 2,
    "transfer": 4,
    "transfer fails": 2,
    "free": 2,
    "abandoned": 2,
}

#: A provider, and how it may be away: with the kinds of `Sandbox.fault`, none of which has a mail sent twice.
AWAY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("stripe", {"kind": "status", "status": 503}),
    ("printful", {"kind": "status", "status": 500}),
    ("printful", {"kind": "lost_answer", "method": "POST"}),
    ("discourse", {"kind": "status", "status": 502}),
    ("kit", {"kind": "lost_answer"}),
    ("kit", {"kind": "status", "status": 500}),
    ("sendgrid", {"kind": "status", "status": 503}),
    ("thinkific", {"kind": "refused"}),
    ("platform", {"kind": "html"}),
)


@dataclass(frozen=True)
class Story:
    """One purchase. `way` is a payment link's id, or `stripe` or `autopay` for a cart of `items`."""

    at: float
    way: str
    items: tuple[dict[str, Any], ...]
    money: str
    fate: str
    #: Seconds until the money's story goes on, and the print's.
    later: float
    #: What the sandbox refunds, as a share of what was paid.
    share: float

    @property
    def skus(self) -> set[str]:
        return {item["sku"] for item in self.items}


@dataclass(frozen=True)
class Away:
    """A provider that fails for hours."""

    at: float
    until: float
    provider: str
    rule: dict[str, Any]


@dataclass(frozen=True)
class Script:
    """Everything that is going to happen. In `outage` nothing of the shop runs."""

    seed: int
    days: int
    stories: list[Story]
    away: list[Away]
    thefts: list[float]
    drafts: list[float]
    kills: list[float]
    outage: tuple[float, float]
    #: Seconds between two looks when there is nothing to do, and when there is.
    idle: float
    busy: tuple[float, float]
    #: Whether the doctors are asked each hour, as they are; it takes most of the time.
    doctors: bool = True
    lost: float = 0.3
    doubled: float = 0.1
    late: float = 0.1
    random: random.Random = field(default_factory=random.Random)


def write(seed: int, orders: int, days: int, outage_days: int) -> Script:
    """The script of a month of so many `orders` and `days`, the same for the same numbers."""
    source = random.Random(seed)
    begin = source.uniform(0.4, 0.6) * (days - outage_days) * DAY
    outage = (begin, begin + outage_days * DAY)
    moments = sorted(_moment(source, days) for _ in range(orders))
    stories = [_story(source, at, down=_down(at, outage)) for at in moments]
    running = [at for at in moments if not _down(at, outage)]
    return Script(
        seed=seed,
        days=days,
        stories=stories,
        away=_away(source, days, outage),
        thefts=[source.uniform(0, days - 1) * DAY for _ in range(2 + days // 8)],
        drafts=[source.uniform(0, days) * DAY for _ in range(days)],
        kills=[at + 1 for at in source.sample(running, min(max(orders // 15, 6), 80))],
        outage=outage,
        idle=HOUR if days > 7 else 2 * HOUR,
        busy=(120, 1500) if days > 7 else (600, 3600),
        doctors=days > 7,
        random=random.Random(source.random()),
    )


def _down(at: float, outage: tuple[float, float]) -> bool:
    return outage[0] - HOUR < at < outage[1]


def _moment(source: random.Random, days: int) -> float:
    """Most buy in the evening; and on launch days in a burst of a few minutes."""
    if source.random() < 0.3:
        return source.randrange(days) * DAY + 10 * HOUR + source.uniform(0, 300)
    return source.randrange(days) * DAY + min(max(source.gauss(12, 4), 0), 23.9) * HOUR


def _story(source: random.Random, at: float, *, down: bool) -> Story:
    """While the shop is `down` its checkout is, too; payment links are Stripe's."""
    link = down or source.random() < 0.35
    way = source.choice(list(LINKS)) if link else "autopay" if source.random() < 0.2 else "stripe"
    items = ({"sku": LINKS[way], "quantity": 1},) if link else _cart(source)
    money = _pick(source, MONEY)
    if way == "autopay":
        money = "abandoned" if money == "abandoned" else "kept"
    elif link and money == "abandoned":
        money = "kept"
    fate = _pick(source, FATES) if any(item["sku"] == "studio-shirt" for item in items) else ""
    if money not in ("kept", "partly refunded", "transfer") and fate in ("failed", "cancelled"):
        fate = "made"
    return Story(at, way, items, money, fate, source.uniform(0.02, 3) * DAY, source.choice([0.1, 0.25, 0.5]))


def _cart(source: random.Random) -> tuple[dict[str, Any], ...]:
    shirt = {"sku": "studio-shirt", "options": {"Size": source.choice("SML")}, "price": 2900}
    many = source.choice([1, 1, 1, 2, 3])
    return source.choice(
        [
            ({**shirt, "quantity": many},),
            ({**shirt, "quantity": many},),
            ({**shirt, "quantity": 1}, {**shirt, "quantity": 1, "options": {"Size": "M"}})
            if shirt["options"] != {"Size": "M"}
            else ({**shirt, "quantity": 2},),
            ({**shirt, "quantity": 1}, COURSE),
            ({**shirt, "quantity": 1}, {**KIT, "quantity": many}),
            ({**KIT, "quantity": many}, PLANS),
            (KIT, COURSE, {**shirt, "quantity": many}),
            (APRON, COURSE),
        ]
    )


def _away(source: random.Random, days: int, outage: tuple[float, float]) -> list[Away]:
    """One provider after another, never two at once, and none while nobody would notice."""
    found = []
    kinds = list(AWAY)
    source.shuffle(kinds)
    for day in range(0, days - 1, 2 if days > 7 else 1):
        provider, rule = kinds[len(found) % len(kinds)]
        at = day * DAY + source.uniform(8, 13) * HOUR
        until = at + source.uniform(1, 6) * HOUR
        if until < outage[0] - HOUR or at > outage[1] + 6 * HOUR:
            found.append(Away(at, until, provider, rule))
    return found


def _pick(source: random.Random, shares: dict[str, int]) -> str:
    return source.choices(list(shares), list(shares.values()))[0]


def address(items: tuple[dict[str, Any], ...]) -> dict[str, Any] | None:
    """Where an Autopay cart's goods go, if there are any to be sent."""
    return HOME if any(item["sku"] not in ("wheel-basics", "studio-plans") for item in items) else None
