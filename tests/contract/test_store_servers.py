"""What the adapters for servers owe besides the contract: durable writes, a server that goes away, indexes in use."""

from __future__ import annotations

import time

import psycopg
import pytest
from pymongo import monitoring

from pushcart.errors import ConfigurationError, StoreUnavailable
from pushcart.store import COLLECTIONS, connect
from support.databases import fresh, own_server

SERVERS = ("postgresql", "mongodb")


def document(id):
    return {"id": id, "version": 1, "created_at": "2026-11-21T08:00:00.000Z", "skus": ["course"]}


@pytest.fixture(params=SERVERS)
def server(request, tmp_path_factory):
    with own_server(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_connections_survive_a_server_that_goes_away_and_comes_back(server, end):
    """The same store object, so the same process: 503 meanwhile, and nothing to restart afterwards."""
    store = connect(server.url)
    assert store.insert("orders", document("before"))
    getattr(server, end)()
    started = time.monotonic()
    for call in (lambda: store.insert("orders", document("lost")), lambda: store.get("orders", "before"), store.ping):
        with pytest.raises(StoreUnavailable):
            call()
    assert time.monotonic() - started < 15
    server.start()
    assert store.get("orders", "before") == document("before")
    assert store.get("orders", "lost") is None
    assert store.insert("orders", document("after"))
    store.close()


def test_a_write_that_was_acknowledged_is_there_after_a_kill(server):
    """Each round kills the server the moment the last write has returned."""
    store = connect(server.url)
    for round in range(5):
        assert store.insert("orders", document(f"o{round}"))
        assert store.replace("orders", {**document(f"o{round}"), "version": 2, "email": "new"}, 1)
        server.kill()
        server.start()
        assert store.get("orders", f"o{round}")["email"] == "new"
    store.close()


class Commands(monitoring.CommandListener):
    """Every command that pymongo sent, by name, with what it says about reads and writes."""

    def __init__(self):
        self.sent = []

    def started(self, event):
        self.sent.append((event.command_name, dict(event.command)))

    def succeeded(self, event):
        """Only what was asked for matters here."""

    def failed(self, event):
        """Only what was asked for matters here."""


def test_mongodb_acknowledges_after_a_majority_has_journalled_whatever_the_url_says(tmp_path):
    commands = Commands()
    monitoring.register(commands)
    url = fresh("mongodb", tmp_path)
    softened = "w=0&journal=false&readConcernLevel=local&readPreference=secondaryPreferred"
    store = connect(url + ("&" if "?" in url else "?") + softened)
    assert store.insert("orders", document("o1"))
    assert not store.insert("orders", document("o1"))
    assert store.replace("orders", {**document("o1"), "version": 2}, 1)
    store.increment("counters", "hits")
    store.find("orders", order_by="created_at")
    assert store.count("orders") == 1
    assert store.delete("orders", "o1")
    store.close()
    writes = [command for name, command in commands.sent if name in ("insert", "update", "delete", "findAndModify")]
    assert len(writes) == 5
    for command in writes:
        concern = command["writeConcern"]
        assert (concern["w"], concern["j"]) == ("majority", True), command
    reads = [command for name, command in commands.sent if name in ("find", "aggregate")]
    assert len(reads) == 3
    assert all(command["readConcern"] == {"level": "majority"} for command in reads)


def test_postgresql_commits_to_the_disk_although_its_own_default_is_not_to(tmp_path):
    url = fresh("postgresql", tmp_path)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as plain:
        plain.execute(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET synchronous_commit = off')
    with psycopg.connect(url.replace("+psycopg", "")) as plain:
        assert plain.execute("SHOW synchronous_commit").fetchone() == ("off",)
    store = connect(url)
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    store.close()


def test_postgresql_can_find_what_is_due_through_an_index(tmp_path):
    store = connect(fresh("postgresql", tmp_path))
    store.ping()
    with store._engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        query = "EXPLAIN SELECT id FROM {} WHERE due_at IS NOT NULL AND due_at < 'x' ORDER BY due_at, id LIMIT 5"
        for table in ("orders", "inbox"):
            plan = " ".join(str(row) for row in connection.exec_driver_sql(query.format(table)))
            assert f"ix_{table}_due_at" in plan
            assert "Sort" not in plan
    store.close()


def test_mongodb_has_an_index_for_every_way_of_looking_something_up(tmp_path):
    store = connect(fresh("mongodb", tmp_path))
    store.ping()
    for collection in COLLECTIONS.values():
        found = store._database[collection.name].index_information().values()
        keys = {tuple(field for field, _ in index["key"]) for index in found}
        assert {(*fields, "_id") for fields in collection.indexes} <= keys
        assert {(field, "_id") for field in collection.lists} <= keys
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://host:port/shop",
        "mongodb://user:p@ss@host/shop",
        "mongodb://user:p/ss@host/shop",
        "postgresql://user:p@ss@host:54x/shop",
    ],
)
def test_an_address_that_is_none_is_a_configuration_error_that_quotes_no_password(url):
    with pytest.raises(ConfigurationError, match="store-url") as error:
        connect(url)
    assert "ss@host" not in error.value.message


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_postgresql_address_is_taken_as_hosting_companies_write_it(tmp_path, scheme):
    url = fresh("postgresql", tmp_path).partition("://")[2]
    store = connect(f"{scheme}://{url}")
    store.ping()
    store.close()


@pytest.mark.parametrize(
    "url", ["postgresql://nobody:topsecret@127.0.0.1:1/shop", "mongodb://nobody:topsecret@127.0.0.1:1/shop"]
)
def test_the_password_of_a_database_that_is_down_is_not_in_the_error(url):
    store = connect(url)
    with pytest.raises(StoreUnavailable) as error:
        store.ping()
    assert "topsecret" not in str(error.value)
    store.close()
