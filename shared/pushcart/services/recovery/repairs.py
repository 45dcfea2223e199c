"""What a recovery does about a difference: an event in the inbox where that is safe, a message where it is not."""

from __future__ import annotations

from typing import Literal

from pushcart import commands
from pushcart.clock import Clock, to_instant
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.repositories import Inbox
from pushcart.services.alerts.incidents import Condition, Incidents, Level
from pushcart.services.catchup.seen import digest
from pushcart.services.recovery.findings import Finding

#: Differences that no event repairs: how urgent each is, what it means, and what to look at.
ALARMS: dict[str, tuple[Level, str, str]] = {
    "order_unknown_to_stripe": (
        Level.CRITICAL,
        "counts as paid, but Stripe does not know the payment: the key may be another account's, or it was forged",
        commands.recover(),
    ),
    "wrong_mode": (
        Level.CRITICAL,
        "was paid in Stripe's other mode: test money may have bought real goods",
        commands.recover(),
    ),
    "not_paid_at_stripe": (
        Level.CRITICAL,
        "counts as paid, but Stripe says that nothing was paid; what it still owes is not delivered until you say so",
        commands.recover(),
    ),
    "not_compared": (
        Level.WARNING,
        "could not be compared, because its provider's answer about it cannot be read",
        commands.recover(),
    ),
    "print_unknown": (
        Level.CRITICAL,
        "has a print that Printful does not know: it may never be made",
        commands.recover(),
    ),
    "print_goes_on": (
        Level.WARNING,
        "was refunded before this shop heard of it, so that nothing of it is tracked here",
        commands.recover(),
    ),
    "stays_different": (
        Level.WARNING,
        "differs from its provider also after it was read again",
        commands.recover(),
    ),
}


class Repairs:
    """Makes findings, and does what each asks for. `kicked` are the events that are new in the inbox."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._inbox = inbox
        self._clock = clock
        self.kicked: list[str] = []

    def by_event(
        self, code: str, text: str, event: InboxEvent, *, order: str | None, lost: bool = False, apply: bool
    ) -> Finding:
        """A finding that `event` repairs; with `apply` it is in the inbox afterwards.

        Its id says what was seen: one that was applied and changed nothing will not repair it a second time, unless
        what it made is `lost`.
        """
        known = self._inbox.get(event.id)
        repair: Literal["done", "will", "no"] = "done" if apply else "will"
        if known is not None and known.status is EventStatus.PENDING:
            repair = "done"
        elif known is not None and not (lost and known.status in (EventStatus.APPLIED, EventStatus.IGNORED)):
            text, repair = f"{text}; reading it again did not change that", "no"
        elif apply:
            self._send(event, again=known is not None)
        command = commands.show_order(order) if order else commands.show_event(event.id)
        if repair == "no":
            command = commands.replay_event(event.id)
        return Finding(code=code, text=text, order=order, object=event.object_id, repair=repair, command=command)

    def by_hand(self, code: str, text: str, *, order: str | None, object: str | None, command: str = "") -> Finding:
        """A finding that only a human can do something about."""
        shown = command or (commands.show_order(order) if order else commands.recover())
        return Finding(code=code, text=text, order=order, object=object, repair="no", command=shown)

    def take_kicked(self) -> list[str]:
        """The events since the last time."""
        taken, self.kicked = self.kicked, []
        return taken

    def _send(self, event: InboxEvent, *, again: bool) -> None:
        if not again:
            self._inbox.add(event)
        else:

            def pending(known: InboxEvent) -> None:
                known.status, known.due_at = EventStatus.PENDING, to_instant(self._clock())
                known.attempts, known.deferrals, known.error = 0, 0, None
                known.alarm = known.told_owner = False

            self._inbox.change(event.id, pending)
        self.kicked.append(event.id)


def alarm(findings: list[Finding], incidents: Incidents) -> None:
    """Tells the owner of what no event repairs: of each kind once, with how many there are.

    The id says which they are, so that what was answered is not told again while it is still the same.
    """
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        code = finding.code if finding.code in ALARMS else "stays_different"
        if finding.repair == "no" and finding.code != "strange_print":
            grouped.setdefault(code, []).append(finding)
    for code, found in grouped.items():
        level, means, command = ALARMS[code]
        subjects = sorted({finding.order or finding.object or "" for finding in found})
        id = f"{code}.{digest(subjects)}"
        several = len(found) > 1
        incidents.see(
            Condition(
                id=id,
                level=level,
                what=f"{len(found)} differences of one kind, first: {found[0].text}."
                if several
                else f"{found[0].text}.",
                means=f"{'Each of these orders' if several else 'The order'} {means}.",
                command=command,
                orders=[finding.order for finding in found if finding.order][:5],
                count=len(found),
            )
        )
