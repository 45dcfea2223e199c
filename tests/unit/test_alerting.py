"""When not to disturb, as shop.yml says it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pushcart import shopfile
from pushcart.clock import from_instant
from pushcart.domain.alerting import AlertSettings, is_quiet
from pushcart.errors import CatalogueError
from support.shop import SHOP


@pytest.mark.parametrize(
    ("moment", "zone", "quiet"),
    [
        ("2026-11-21T20:59:00Z", "Europe/Warsaw", False),
        ("2026-11-21T21:00:00Z", "Europe/Warsaw", True),
        ("2026-11-21T23:30:00Z", "Europe/Warsaw", True),
        ("2026-11-22T05:59:00Z", "Europe/Warsaw", True),
        ("2026-11-22T06:00:00Z", "Europe/Warsaw", False),
        ("2026-11-21T23:30:00Z", "America/New_York", False),
        ("2026-11-22T03:00:00Z", "America/New_York", True),
        ("2026-11-21T23:30:00Z", "Asia/Kolkata", True),
        # In the night of 25 October 2026 Warsaw's clocks go back an hour, in that of 29 March they went on by one.
        ("2026-10-24T05:00:00Z", "Europe/Warsaw", False),
        ("2026-10-25T05:00:00Z", "Europe/Warsaw", True),
        ("2026-10-25T06:00:00Z", "Europe/Warsaw", False),
        ("2026-03-28T05:59:00Z", "Europe/Warsaw", True),
        ("2026-03-29T04:59:00Z", "Europe/Warsaw", True),
        ("2026-03-29T05:00:00Z", "Europe/Warsaw", False),
    ],
)
def test_quiet_hours_go_by_the_clock_on_the_shops_wall(moment, zone, quiet):
    assert is_quiet("22:00-07:00", from_instant(moment), ZoneInfo(zone)) is quiet


def test_quiet_hours_may_lie_within_a_day_or_not_be_at_all():
    noon = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
    assert is_quiet("12:00-14:00", noon, UTC)
    assert not is_quiet("13:00-14:00", noon, UTC)
    assert not is_quiet("12:30-12:30", noon, UTC)
    assert not is_quiet(None, noon, UTC)


def test_without_a_word_in_shop_yml_the_night_is_quiet_and_with_null_it_is_not():
    assert shopfile.parse(SHOP).alerts == AlertSettings(quiet="22:00-07:00")
    assert shopfile.parse(f"{SHOP}\nalerts: {{quiet: null}}\n").alerts.quiet is None


def test_every_mistake_about_alerts_is_named_with_its_place():
    with pytest.raises(CatalogueError) as error:
        shopfile.parse(f'{SHOP}\nalerts: {{quiet: "25:00-07:00", remind_every: 0 days, keys: {{A B: 2027-01-01}}}}\n')
    for place in ("alerts.quiet", "alerts.remind_every", "alerts.keys"):
        assert place in error.value.message
