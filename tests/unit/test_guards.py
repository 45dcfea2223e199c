"""The guards that keep an order from being done twice: taken away one by one in a copy, each turns some test red.

A guard nobody would miss is no guard, and a test that stays green without it proves nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("shared", "functions", "template", "deploy", "tests", "stack.yml", "pyproject.toml")

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


def run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def test_with_every_guard_in_place_these_tests_are_green(copy):
    """The control: the copy as it is."""
    done = run(copy, *sorted({guard.noticed_by for guard in GUARDS.values()}))
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
