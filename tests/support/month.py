"""A simulated month of a real shop: its clock goes in ticks; each buys, breaks, kills, and runs catch-up as cron does.

The clock only moves while nothing is in hand, because on a server no call takes an hour. What cron would have done in
between is left out where it had nothing to do; its heartbeat is not.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.shop import LocalShop
from pushcart.clock import offset_clock
from pushcart.domain.event import EventStatus
from pushcart.errors import FunctionFailed
from pushcart.repositories import Cursors, Heartbeats, Inbox, Orders
from pushcart.services.upkeep.doctors import INTERNAL
from pushcart.store import connect
from support.carts import well_stocked
from support.month_outside import Outside
from support.month_owner import ShopOwner
from support.month_post import Post
from support.month_script import DAY, HOUR, Script
from support.resting import come_to_rest

FUNCTIONS = (
    *("stripe-webhook", "autopay-webhook", "printful-webhook", "checkout", "order-store", "catch-up", "alert"),
    *("invite-link", "mailing-list", "email-dispatch", "printful-order"),
)

#: Those that are killed more often than others.
BUSIEST = ("order-store", "email-dispatch", "printful-order", "mailing-list", "catch-up")

#: Steps that order-store has in hand at once: so many mails can be on their way when a process is killed.
WORKERS = 4

#: Ticks of six hours after the script's end.
DRAINED = 26

#: Longer than the lock of a catch-up that was killed.
LOCKED = 90


class Month:
    """The shop in `folder`, which plays `script`."""

    def __init__(self, folder: Path, script: Script) -> None:
        self.script = script
        self.random = script.random
        shop_file = well_stocked(_made(folder / "files"))
        environment = {"drive_workers": str(WORKERS)}
        self.shop = LocalShop(
            folder / "shop", catch_up=False, environment=environment, seed=script.seed, shop_file=shop_file
        )
        self.kills: Counter[str] = Counter()
        self.outside = Outside(self)
        self.post = Post(self.shop)
        self.mails: Counter[tuple[str, str]] = Counter()
        self.messages: dict[str, Any] = {}
        self.ticks = 0
        self._seen_mails: set[str] = set()
        self._said = 0
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Month:
        self.shop.start()
        now = self.shop.sandbox.now()
        six = now.replace(hour=6, minute=0, second=0, microsecond=0) + timedelta(days=1)
        self.shop.advance(int((six - now).total_seconds()))
        self.began = self.shop.sandbox.now()
        self.clock = offset_clock(self.shop.clock_file)
        self.store = connect(f"sqlite:///{self.shop.state_dir}/shop.db")
        self.orders, self.inbox = Orders(self.store), Inbox(self.store)
        self.owner = ShopOwner(self)
        self._wreak_havoc()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self.store.close()
        self.shop.stop()

    def now(self) -> float:
        """Seconds since the month began."""
        return (self.shop.sandbox.now() - self.began).total_seconds()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Has `action` happen at the first tick after `moment`."""
        heapq.heappush(self._plan, (moment, next(self._serial), action))

    def play(self) -> None:
        """The whole script; then everything outside works again, and some quiet days pass."""
        script = self.script
        for story in script.stories:
            self.at(story.at, lambda story=story: self.outside.buy(story))  # type: ignore[misc]
        for away in script.away:
            self.at(away.at, lambda away=away: self.outside.go_away(away))  # type: ignore[misc]
        for moment in script.thefts:
            self.at(moment, self.outside.steal)
        for moment in script.drafts:
            self.at(moment, self.outside.fall_back)
        for moment in script.kills:
            self.at(moment, self._kill)
        self._until(script.outage[0])
        self._lie_down(script.outage[1])
        self._until(script.days * DAY)
        self._drain()

    # Time

    def _until(self, end: float) -> None:
        while self.now() < end:
            self.tick(min(self._step(), end - self.now() + 1))
            self._say()

    def _say(self) -> None:
        """A line each day, for whoever watches the long one."""
        day = int(self.now() // DAY)
        if day > self._said:
            self._said = day
            kills = self.kills.total()
            print(f"day {day}: {len(self.outside.bought)} purchases, {self.ticks} ticks, {kills} kills", flush=True)

    def _step(self) -> float:
        """Minutes while something is going on, longer when nothing is."""
        following = self._plan[0][0] - self.now() if self._plan else self.script.idle
        return min(max(following, self.random.uniform(*self.script.busy)), self.script.idle)

    def tick(self, seconds: float) -> None:
        """Time passes, what is due happens, and cron calls catch-up."""
        self.ticks += 1
        self._advance(seconds)
        self._act()
        self.catch_up()
        self.outside.notice_failures()
        self._settle_down()
        self.owner.look()
        self.post.look()
        self._harvest()

    def _advance(self, seconds: float, *, beat: bool = True) -> None:
        whole = max(int(seconds), 1)
        soon = self.clock() + timedelta(seconds=whole)
        if beat:  # cron's runs in between, which found nothing
            Heartbeats(self.store, lambda: soon).beat("catch-up", {})
        if not self.script.doctors:
            self._examined(int(soon.timestamp()))
        self.shop.advance(whole)

    def _examined(self, at: int) -> None:
        """Has catch-up believe that the doctors have just found everything well."""
        cursors = Cursors(self.store)
        kept = cursors.read("doctors")
        cursors.write("doctors", {"at": dict.fromkeys(INTERNAL, at)}, kept["version"] if kept else 0)

    def _act(self) -> None:
        while self._plan and self._plan[0][0] <= self.now():
            heapq.heappop(self._plan)[2]()
        self.outside.new_prints()

    def catch_up(self) -> None:
        """As cron does it: nobody minds when it fails."""
        with contextlib.suppress(FunctionFailed):
            self.shop.catch_up()

    def _settle_down(self) -> None:
        come_to_rest(self.shop, self.store, self.clock, self.catch_up)

    def _drain(self) -> None:
        self.shop.sandbox.chaos()
        self.shop.sandbox.world.faults.clear()
        self.owner.thorough = True
        for _ in range(DRAINED):
            self.tick(6 * HOUR)
        assert not any(sender.held for sender in self.shop.sandbox.senders), "every late webhook has come"

    # What goes wrong

    def _wreak_havoc(self) -> None:
        """Webhooks get lost, come twice and come late, as the script has it."""
        script = self.script
        self.shop.sandbox.chaos(script.lost, script.doubled, script.late, seed=script.seed)

    def _kill(self) -> None:
        """Some processes die in the middle of what this tick has begun."""
        running = self._pool.submit(self.catch_up)
        for _ in range(self.random.randint(1, 2)):
            time.sleep(self.random.uniform(0.01, 0.25))
            alive = [function for function in FUNCTIONS if self.shop.gateway.pid(function)]
            victim = self.random.choice([*alive, *(one for one in alive if one in BUSIEST)])
            self.shop.gateway.kill(victim)
            self.kills[victim] += 1
        running.result()
        # An orderly restart finishes what is in hand, but for what the killed ones had.
        self.shop.gateway.restart("order-store")
        self._advance(LOCKED)

    def _lie_down(self, end: float) -> None:
        """The server is gone; what happens outside goes on. First cron fails, which the owner hears of.

        What is sent meanwhile is lost; what was held back until then is tried again, and may come afterwards.
        """
        self._settle_down()
        self.shop.sandbox.chaos(lost=1)
        for sender in self.shop.sandbox.senders:
            sender.lose = True
        self._advance(300, beat=False)
        self.shop.client.call("alert", "/watch", {})
        self.owner.answer_alerts()
        for function in FUNCTIONS:
            self.shop.gateway.kill(function)
        while self.now() < end:
            self._advance(min(3 * HOUR, end - self.now() + 1), beat=False)
            self._act()
            self._harvest()
        assert not any(self.shop.gateway.pid(function) for function in FUNCTIONS), "nothing of the shop ran"
        for sender in self.shop.sandbox.senders:
            sender.lose = False
        self._wreak_havoc()

    # What arrived

    def _harvest(self) -> None:
        """Takes note of the mails and messages so far; the sandbox forgets the oldest."""
        for mail in self.shop.sandbox.mails():
            if mail.id not in self._seen_mails:
                self._seen_mails.add(mail.id)
                self.mails[mail.custom_args.get("order_id", ""), mail.custom_args.get("step", mail.subject)] += 1
        for message in self.shop.sandbox.messages():
            self.messages[message.id] = message

    def waiting(self) -> list[Any]:
        """Events in the inbox that were not applied."""
        return [*self.inbox.list(EventStatus.PENDING).items, *self.inbox.list(EventStatus.DEAD).items]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
