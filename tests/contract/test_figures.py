"""What the figures ask of the store is answered alike by every database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pushcart.services.metrics.figures import StoreFigures
from pushcart.store import connect
from support.databases import DATABASES, fresh
from support.scrapes import Scrape, lived_in


@pytest.fixture(params=DATABASES)
def store(request, tmp_path):
    store = connect(fresh(request.param, tmp_path))
    yield store
    store.close()


def now():
    return datetime(2026, 11, 21, 8, tzinfo=UTC)


def test_every_figure_of_the_store_is_the_same_on_each_database(store):
    found = Scrape(lived_in(store, now).text().decode())
    assert found.value("pushcart_store_up") == 1
    assert found.value("pushcart_orders_by_payment_status", payment_status="unpaid") == 1
    assert found.value("pushcart_orders_by_fulfilment_status", fulfilment_status="fulfilled") == 0
    assert found.value("pushcart_inbox_events", status="pending") == 1
    assert found.value("pushcart_inbox_oldest_pending_age_seconds") == 60
    assert found.value("pushcart_queue_due", queue="orders") == 1
    assert found.value("pushcart_queue_due", queue="events") == 1
    assert found.value("pushcart_incidents_open", level="critical") == 1
    assert found.value("pushcart_incidents_open", level="info") == 0
    assert found.value("pushcart_ack_duration_seconds_count", function="stripe-webhook") == 1
    assert found.value("pushcart_catch_up_heartbeat_age_seconds") == 0


def test_a_shop_in_which_nothing_happened_yet_has_figures_too(store):
    found = StoreFigures(store, now).read()
    assert found is not None
    assert (found.pending_since, found.heartbeat, found.acks, found.incidents) == (None, None, {}, {})
    assert not any((*found.payment.values(), *found.fulfilment.values(), *found.events.values(), *found.due.values()))
