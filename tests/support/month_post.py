"""When each webhook of a simulated month reached the shop, and which came after one that was made later."""

from __future__ import annotations

from collections import defaultdict

from local.shop import LocalShop


class Post:
    """What the three senders posted to `shop`. Looks after each tick, for within one nothing has a certain order.

    Only the first try of a message counts: what got lost or was refused, and is sent again, is not late but repeated.
    """

    def __init__(self, shop: LocalShop) -> None:
        self._sandbox = shop.sandbox
        self._looks = 0
        self._seen: dict[str, int] = defaultdict(int)
        #: By sender and message, the look at which it had arrived.
        self._arrived: dict[str, dict[str, int]] = defaultdict(dict)

    def look(self) -> None:
        """Takes note of what arrived since the last look."""
        self._looks += 1
        for sender in self._sandbox.senders:
            posted = sender.deliveries[self._seen[sender.name] :]
            self._seen[sender.name] += len(posted)
            for delivery in posted:
                if delivery.attempt == 1 and delivery.status == 200:
                    message = delivery.notification_id if sender.name == "autopay" else delivery.event_id
                    self._arrived[sender.name][message] = self._looks

    def overtaken(self) -> dict[str, int]:
        """By sender, how many messages arrived at a later look than one that was made after them."""
        made = {
            "stripe": [event["id"] for event in self._sandbox.stripe.events()],
            "autopay": [notice.id for notice in self._sandbox.autopay.notifications()],
            "printful": [event.id for event in self._sandbox.printful.events()],
        }
        return {sender: self._overtaken(sender, ids) for sender, ids in made.items()}

    def _overtaken(self, sender: str, made: list[str]) -> int:
        first, found = self._looks + 1, 0
        for message in reversed(made):
            look = self._arrived[sender].get(message)
            if look is not None:
                found += look > first
                first = min(first, look)
        return found
