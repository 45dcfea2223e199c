"""The guards that keep an order from being done twice: taken away one by one in a copy, each turns some test red.

A guard nobody would miss is no guard, and a test that stays green without it proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("shared", "functions", "template", "deploy", "tests", "stack.yml", "pyproject.toml")

PRINTS_IN, PRINTS_OUT = (f"functions/printful-{name}/handler_test.py" for name in ("webhook", "order"))

#: pytest's exit status when tests ran and some failed; anything else would mean that they did not run.
RED, GREEN = 1, 0


@dataclass(frozen=True)
class Guard:
    """Where a guard stands in the code, what is left when it is taken away, and the test that has to notice."""

    file: str
    text: str
    without: str
    noticed_by: str


GUARDS = {
    "an event's id comes from its sender, so that a second delivery finds the first": Guard(
        "shared/pushcart/services/stripe_inbox.py",
        'id=f"stripe:{event.id}",',
        'id=f"stripe:{event.id}:{time.time_ns()}",',
        "functions/stripe-webhook/handler_test.py::test_a_second_delivery_is_acknowledged_and_changes_nothing",
    ),
    "an id in the inbox is unique (SQL)": Guard(
        "shared/pushcart/store/sql.py",
        "insert(self.main).on_conflict_do_nothing()",
        'insert(self.main).prefix_with("OR REPLACE")',
        "tests/contract/test_store.py::test_an_id_is_taken_once_and_the_first_document_stays[sqlite]",
    ),
    "an id in the inbox is unique (MongoDB)": Guard(
        "shared/pushcart/store/mongo.py",
        "insert_one(_stored(document))",
        'replace_one({"_id": document["id"]}, _stored(document), upsert=True)',
        "tests/contract/test_store.py::test_an_id_is_taken_once_and_the_first_document_stays[mongodb]",
    ),
    "a document is replaced at the version that was read (SQL)": Guard(
        "shared/pushcart/store/sql.py",
        'mine = self.main.c.id == sa.bindparam("the_id"), self.main.c.version == sa.bindparam("the_version")',
        'mine = (self.main.c.id == sa.bindparam("the_id"),)',
        "tests/contract/test_store.py::test_of_many_writers_of_one_version_exactly_one_wins[sqlite]",
    ),
    "a document is replaced at the version that was read (MongoDB)": Guard(
        "shared/pushcart/store/mongo.py",
        'replace_one({"_id": document["id"], "version": version}, stored)',
        'replace_one({"_id": document["id"]}, stored)',
        "tests/contract/test_store.py::test_of_many_writers_of_one_version_exactly_one_wins[mongodb]",
    ),
    "a running step belongs to the holder of its lease until that ends": Guard(
        "shared/pushcart/domain/steps.py",
        "        return step.lease_until\n",
        "        return step.started_at\n",
        "tests/unit/test_steps.py",
    ),
    "an answer counts only while its lease was not taken over": Guard(
        "shared/pushcart/domain/steps.py",
        "if step.state is not StepState.RUNNING or step.lease != token:",
        "if step.state is not StepState.RUNNING:",
        "tests/unit/test_steps.py",
    ),
    "every attempt of a step has the same idempotency key": Guard(
        "shared/pushcart/services/driver.py",
        "key=step.key,",
        'key=f"{step.key}.{step.attempts}",',
        "tests/chain/test_what_goes_wrong.py::test_a_retry_places_a_second_order_because_it_looks_up_another_id",
    ),
    "Kit is told the step's key": Guard(
        "shared/pushcart/providers/kit.py",
        '"transaction_id": call.key,',
        '"transaction_id": f"{call.key}.{call.attempt}.{id(call)}",',
        "tests/contract/test_kit_v4.py",
    ),
    "a webhook has to be signed by Stripe": Guard(
        "shared/pushcart/services/stripe_inbox.py",
        "            stripe.WebhookSignature.verify_header(text, signature, secret, tolerance=TOLERANCE)\n",
        "            pass\n",
        "tests/unit/test_signature_matrix.py",
    ),
    "a notification has to be signed by Autopay": Guard(
        "shared/pushcart/providers/paylinks/autopay.py",
        "        self._key_of(sent.values, sent.hash)\n        if sent",
        "        if sent",
        "tests/contract/test_autopay_forged.py",
    ),
    "a call between functions has to be signed": Guard(
        "shared/pushcart/auth.py",
        "if not any(hmac.compare_digest(_mac(key, message), given) for key in keys if key):",
        "if not keys:",
        "tests/unit/test_auth.py",
    ),
    "Printful's messages come in at an address that ends in the secret": Guard(
        "shared/pushcart/services/print_inbox.py",
        "if not any(fits):",
        "if not fits:",
        f"{PRINTS_IN}::test_during_a_rotation_both_secrets_are_accepted_and_afterwards_the_new_one_alone",
    ),
    "a message of Printful's is the same at each attempt to deliver it": Guard(
        "shared/pushcart/services/print_inbox.py",
        'if name != "retries"}',
        "if name}",
        "tests/unit/test_print_inbox.py",
    ),
    "Printful is asked for our order before one is placed": Guard(
        "shared/pushcart/providers/printful_orders.py",
        'made, done = self._found(name, items), "found"\n        if made',
        'made, done = None, "found"\n        if made',
        "tests/contract/test_printful_orders.py",
    ),
    "Printful is told the order's own id": Guard(
        "shared/pushcart/providers/printful_orders.py",
        "name, items = external_id(order.id, _number(call.step)),",
        'name, items = f"{order.id[:20]}-{id(call)}"[:32],',
        f"{PRINTS_OUT}::test_after_any_failure_the_next_call_leaves_one_order",
    ),
    "an order at Printful under our id counts as ours only with what was sold": Guard(
        "shared/pushcart/providers/printful_orders.py",
        "if _pieces(items) not in (",
        "if [] in (",
        f"{PRINTS_OUT}::test_somebody_elses_order_under_our_name_is_a_humans",
    ),
    "a parcel that is known is the same parcel": Guard(
        "shared/pushcart/domain/delivery.py",
        "known = next((one for one in order.parcels if one.key == parcel.key), None)",
        "known = None",
        "tests/unit/test_delivery.py::test_a_tracking_number_that_comes_later_is_added_and_no_second_mail_is_planned",
    ),
    "what was delivered stays delivered": Guard(
        "shared/pushcart/domain/delivery.py",
        "if not (before in _DELIVERED and facts.status != FULFILLED):\n        made",
        "if True:\n        made",
        "tests/unit/test_delivery.py",
    ),
    "a page of Stripe's events counts as done when all of it is in the inbox": Guard(
        "shared/pushcart/services/catchup/payments.py",
        "            for item in listed.items:\n                take(item, found)\n",
        "            window.after = listed.last\n"
        "            self._cursors.write(self._name, msgspec.to_builtins(place), version)\n"
        "            version += 1\n"
        "            for item in listed.items:\n                take(item, found)\n",
        "tests/unit/test_catchup_stripe.py::test_a_run_that_dies_anywhere_loses_nothing_and_does_nothing_twice",
    ),
    "an order at Printful is strange only when Stripe was asked for its payment": Guard(
        "shared/pushcart/services/catchup/prints.py",
        "if age < STRANGE_FOR or self._taken_until() <= one.since:",
        "if age < STRANGE_FOR:",
        "tests/unit/test_catchup_prints.py::test_no_alarm_before_stripe_was_asked_for_the_payment_that_may_explain_it",
    ),
    "who tells the owner of something has claimed it before": Guard(
        "shared/pushcart/services/alerts/teller.py",
        "        return incidents.save(incident)\n",
        "        incidents.save(incident)\n        return True\n",
        "tests/unit/test_teller.py::test_two_watches_at_once_tell_once",
    ),
    "who has a message does not get it again because another has not": Guard(
        "shared/pushcart/services/alerts/teller.py",
        "            if address.key in sent:\n                continue\n",
        "",
        "tests/unit/test_teller.py::test_an_address_that_works_is_not_told_twice_because_another_does_not",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    # The database server that the tests build lies outside what is copied.
    (folder / ".pushcart").mkdir()
    (folder / ".pushcart" / "servers").symlink_to(ROOT / ".pushcart" / "servers")
    return folder


def run(folder: Path, *tests: str, compiling: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs these tests there; what is `compiling` leaves its byte code to the others, before anything is changed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "pytest_timeout", *tests]
    # Loading all plugins takes longer than a test.
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPYCACHEPREFIX": str(folder / ".pycache")}
    bare["PYTHONDONTWRITEBYTECODE"] = "" if compiling else "1"
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, timeout=100, check=False)


def test_with_every_guard_in_place_these_tests_are_green(copy):
    """The control: the copy as it is."""
    done = run(copy, *sorted({guard.noticed_by for guard in GUARDS.values()}), compiling=True)
    assert done.returncode == GREEN, done.stdout[-3000:]


@pytest.mark.parametrize("name", GUARDS)
def test_without_this_guard_some_test_is_red(copy, name):
    guard = GUARDS[name]
    file = copy / guard.file
    whole = file.read_text()
    assert whole.count(guard.text) == 1, f"{guard.file} has changed; say here what the guard looks like now"
    file.write_text(whole.replace(guard.text, guard.without))
    try:
        done = run(copy, guard.noticed_by)
    finally:
        file.write_text(whole)
    assert done.returncode == RED, done.stdout[-3000:]
