"""What every store adapter has to do. All of it runs on each database, on a real server."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from pushcart.errors import ConfigurationError, StoreUnavailable
from pushcart.store import connect
from support.databases import DATABASES, fresh


@pytest.fixture(params=DATABASES)
def url(request, tmp_path):
    return fresh(request.param, tmp_path)


@pytest.fixture
def store(url):
    store = connect(url)
    yield store
    store.close()


def order(id, **fields):
    return {"id": id, "version": 1, "created_at": f"2026-11-{int(id[-2:]):02}", "skus": [], **fields}


def test_a_document_comes_back_as_it_was(store):
    document = order("o01", nested={"list": [1, None, True, "é\u0000"], "empty": {}}, amount=2**53)
    assert store.insert("orders", document)
    assert store.get("orders", "o01") == document
    assert store.get("orders", "o02") is None


def test_a_platforms_answer_may_have_any_keys_and_any_text(store):
    answer = {
        "a.b": 1,
        "large": 2**53,
        "$set": {"x.y": {"$": [{"": None}]}},
        "100%": "%2E",
        "nul\u0000": "nul\u0000",
        "%24": "$",
    }
    document = order("o01", steps=[{"result": answer}], email="ann\u0000@example.com", note="x" * 100_000)
    assert store.insert("orders", document)
    assert store.get("orders", "o01") == document
    assert msgspec.json.decode(msgspec.json.encode(store.get("orders", "o01"))) == document
    assert store.find("orders", equal={"email": "ann\u0000@example.com"}, order_by="created_at") == [document]


def test_an_indexed_text_may_be_longer_than_an_index_takes(store):
    long = "a" * 5000 + "@example.com"
    assert store.insert("orders", order("o01", email=long, skus=["s" * 5000]))
    for equal in ({"email": long}, {"skus": "s" * 5000}):
        assert [one["id"] for one in store.find("orders", equal=equal, order_by="created_at")] == ["o01"]


def test_texts_are_compared_byte_by_byte_whatever_the_servers_language(store):
    ids = ["o-A", "o-_", "o-a", "o0", "oB", "o_", "ob", "oé"]
    for id in reversed(ids):
        store.insert("orders", {"id": id, "version": 1, "created_at": "2026", "skus": []})
    assert [one["id"] for one in store.find("orders", order_by="created_at")] == ids


def test_an_id_is_taken_once_and_the_first_document_stays(store):
    assert store.insert("orders", order("o01", email="first"))
    assert not store.insert("orders", order("o01", email="second"))
    assert store.get("orders", "o01")["email"] == "first"


def test_a_replacement_needs_the_version_that_is_stored(store):
    store.insert("orders", order("o01"))
    assert store.replace("orders", order("o01", version=2, email="new"), 1)
    assert not store.replace("orders", order("o01", version=2, email="late"), 1)
    assert not store.replace("orders", order("o02", version=2), 1)
    assert store.get("orders", "o01")["email"] == "new"


def test_documents_are_found_by_an_indexed_field_in_order(store):
    for number in (3, 1, 2):
        store.insert("orders", order(f"o0{number}", email="a" if number != 2 else "b"))
    found = store.find("orders", equal={"email": "a"}, order_by="created_at")
    assert [document["id"] for document in found] == ["o01", "o03"]
    found = store.find("orders", order_by="created_at", descending=True, limit=2)
    assert [document["id"] for document in found] == ["o03", "o02"]


def test_a_range_includes_its_start_and_not_its_end_and_leaves_out_documents_without_the_field(store):
    for number in range(1, 5):
        store.insert("orders", order(f"o0{number}", due_at=f"t{number}" if number != 4 else None))
    found = store.find("orders", order_by="due_at", since="t1", until="t3")
    assert [document["id"] for document in found] == ["o01", "o02"]


def test_keys_come_in_order_a_page_at_a_time(store):
    for number in (3, 1, 2, 4):
        store.insert("orders", order(f"o0{number}", due_at=f"t{number}" if number != 4 else None))
    assert store.keys("orders", order_by="due_at", until="t9") == [("t1", "o01"), ("t2", "o02"), ("t3", "o03")]
    assert store.keys("orders", order_by="due_at", until="t3", after=("t1", "o01"), limit=5) == [("t2", "o02")]


@pytest.mark.parametrize("descending", [False, True])
def test_pages_cover_everything_once_even_among_equal_values(store, descending):
    ids = [f"o{number:02}" for number in range(1, 12)]
    for id in ids:
        store.insert("orders", {**order(id), "created_at": "same" if id < "o06" else "later"})
    seen, after = [], None
    while page := store.find("orders", order_by="created_at", descending=descending, after=after, limit=3):
        seen += [document["id"] for document in page]
        after = (page[-1]["created_at"], page[-1]["id"])
    assert sorted(seen) == ids
    assert len(seen) == len(set(seen))


def test_a_list_field_is_found_by_each_of_its_items_and_follows_changes(store):
    store.insert("orders", order("o01", skus=["course", "book"]))
    store.insert("orders", order("o02", skus=["book"]))

    def having(sku):
        return [document["id"] for document in store.find("orders", equal={"skus": sku}, order_by="created_at")]

    assert (having("course"), having("book")) == (["o01"], ["o01", "o02"])
    store.replace("orders", order("o01", version=2, skus=["print"]), 1)
    assert (having("course"), having("book"), having("print")) == ([], ["o02"], ["o01"])
    store.delete("orders", "o02")
    assert having("book") == []


def test_counts_and_counters(store):
    store.insert("orders", order("o01", payment_status="paid"))
    store.insert("orders", order("o02", payment_status="unpaid"))
    assert (store.count("orders"), store.count("orders", {"payment_status": "paid"})) == (2, 1)
    assert [store.increment("counters", "foreign"), store.increment("counters", "foreign", 5)] == [1, 6]


def test_a_deletion_can_depend_on_the_version(store):
    store.insert("orders", order("o01"))
    assert not store.delete("orders", "o01", version=7)
    assert store.delete("orders", "o01", version=1)
    assert not store.delete("orders", "o01")


def test_of_many_writers_of_one_version_exactly_one_wins(store):
    store.insert("orders", order("o01"))
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        return store.replace("orders", order("o01", version=2, email=str(number)), 1)

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, won in enumerate(pool.map(write, range(8))) if won]
    assert [str(number) for number in won] == [store.get("orders", "o01")["email"]]


def test_without_the_version_check_the_same_race_loses_changes(store):
    """The control: what the test above would look like if writers simply wrote what they had read."""
    store.insert("orders", order("o01", amount=0))
    start = threading.Barrier(8)

    def add(_):
        document = store.get("orders", "o01")
        start.wait()
        while not store.replace("orders", {**document, "version": 1, "amount": document["amount"] + 1}, 1):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert store.get("orders", "o01")["amount"] < 8


def test_counters_lose_nothing_among_threads(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.increment("counters", "hits"), range(80)))
    assert store.increment("counters", "hits", 0) == 80


WRITER = textwrap.dedent(
    """
    import sys
    from pushcart.store import connect
    store = connect(sys.argv[1])
    mine = sum(store.insert("inbox", {"id": f"event-{n}", "version": 1}) for n in range(150))
    for _ in range(50):
        store.increment("counters", "shared")
    print(mine)
    """
)


def test_several_processes_share_one_store(url):
    """Four processes write the same 150 ids: each id is stored once, and nobody fails on the others' locks."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, url]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True) for _ in range(4)]
    stored = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sum(stored) == 150
    store = connect(url)
    assert (store.count("inbox"), store.increment("counters", "shared", 0)) == (150, 200)
    store.close()


def test_a_new_sqlite_file_is_opened_while_somebody_else_is_writing_to_it(tmp_path):
    """Switching to WAL needs the file for itself and does not wait for a writer unless it is made to."""
    file = tmp_path / "shop.db"
    writer = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    writer.execute("CREATE TABLE other (value)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO other VALUES (1)")
    threading.Timer(0.4, writer.execute, ["COMMIT"]).start()
    store = connect(f"sqlite:///{file}")
    assert store.insert("orders", order("o01"))
    store.close()
    writer.close()


def test_a_store_that_cannot_be_opened_is_unavailable_and_recovers(tmp_path):
    store = connect(f"sqlite:///{tmp_path}/missing/shop.db")
    for call in (lambda: store.get("orders", "x"), lambda: store.insert("orders", order("o01")), store.ping):
        with pytest.raises(StoreUnavailable):
            call()
    (tmp_path / "missing").mkdir()
    assert store.insert("orders", order("o01"))
    store.close()


def test_a_database_there_is_no_adapter_for_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="store-url begins with 'mysql'"):
        connect("mysql://localhost/shop")


def test_sqlite_writes_through_to_the_disk(tmp_path):
    """WAL with full synchronisation: a commit that returned survives a power cut."""
    store = connect(fresh("sqlite", tmp_path))
    store.ping()
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    store.close()


def test_what_is_due_is_found_through_an_index_not_by_reading_every_order(tmp_path):
    store = connect(fresh("sqlite", tmp_path))
    store.ping()
    query = (
        "EXPLAIN QUERY PLAN SELECT body FROM {} WHERE due_at IS NOT NULL AND due_at < 'x' ORDER BY due_at, id LIMIT 5"
    )
    with store._engine.connect() as connection:
        for table in ("orders", "inbox"):
            plan = " ".join(str(row) for row in connection.exec_driver_sql(query.format(table)))
            assert f"USING INDEX ix_{table}_due_at" in plan
            assert "TEMP B-TREE" not in plan
    store.close()
