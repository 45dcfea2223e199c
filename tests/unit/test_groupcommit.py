"""Group commit: who comes while one writes goes with the next transaction; what is wrong with one costs no other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from pushcart.store.groupcommit import LARGEST, GroupCommit


class File:
    """A SQLite file with one table, and how many transactions it has seen."""

    def __init__(self, path):
        self.engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0.2})
        self.begun = 0
        sa.event.listen(self.engine, "begin", self._count)
        with self.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE written (value TEXT PRIMARY KEY)")
        self.begun = 0
        self.group = GroupCommit(self.engine.connect)

    def _count(self, connection):
        self.begun += 1

    def write(self, value):
        self.group.run(lambda connection: connection.exec_driver_sql("INSERT INTO written VALUES (?)", (value,)))

    def written(self):
        with self.engine.connect() as connection:
            return sorted(connection.exec_driver_sql("SELECT value FROM written").scalars())


@pytest.fixture
def file(tmp_path):
    file = File(tmp_path / "written.db")
    yield file
    file.group.close()
    file.engine.dispose()


def meanwhile(file, values):
    """Writes `values` at once, while another write is at it; gives what each raised, or None."""
    started, go_on = threading.Event(), threading.Event()

    def slow(connection):
        started.set()
        go_on.wait()

    def write(value):
        try:
            file.write(value)
        except sa.exc.SQLAlchemyError as error:
            return error
        return None

    with ThreadPoolExecutor(len(values) + 1) as pool:
        first = pool.submit(file.group.run, slow)
        started.wait()
        writes = [pool.submit(write, value) for value in values]
        while len(file.group._waiting) < len(values):
            time.sleep(0.005)
        go_on.set()
        first.result()
        return [write.result() for write in writes]


def test_writes_that_wait_for_the_same_one_share_a_transaction(file):
    assert meanwhile(file, ["a", "b", "c", "d"]) == [None] * 4
    assert file.written() == ["a", "b", "c", "d"]
    assert file.begun == 3  # the slow one, all that waited for it, and the look at what was written


def test_a_write_that_comes_alone_is_a_transaction_of_its_own(file):
    for value in "abc":
        file.write(value)
    assert file.begun == 3


def test_a_bad_write_fails_alone_and_the_others_are_written(file):
    file.write("taken")
    failed = meanwhile(file, ["a", "taken", "b"])
    assert [isinstance(one, sa.exc.IntegrityError) for one in failed] == [False, True, False]
    assert file.written() == ["a", "b", "taken"]


def test_when_nothing_can_be_written_everybody_is_told_and_later_writes_work(file, tmp_path):
    other = sa.create_engine(f"sqlite:///{tmp_path}/written.db")
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        failed = meanwhile(file, ["a", "b"])
        assert all(isinstance(one, sa.exc.OperationalError) for one in failed)
        connection.rollback()
    other.dispose()
    assert file.written() == []
    file.write("later")
    assert file.written() == ["later"]


def test_a_lock_of_somebody_elses_fails_all_who_wait_at_once_not_one_after_another(file, tmp_path):
    other = sa.create_engine(f"sqlite:///{tmp_path}/written.db")
    file.engine.dispose()
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        sa.event.listen(file.engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            failed = list(pool.map(lambda value: _refused(file, value), "abcdefgh"))
        connection.rollback()
    other.dispose()
    assert all(failed)
    # The first waits alone and the others together: two timeouts of 0.2 s, and not eight.
    assert time.monotonic() - began < 7 * 0.2


def _refused(file, value):
    with pytest.raises(sa.exc.OperationalError):
        file.write(value)
    return True


def test_whatever_ends_a_write_ends_the_waiting_of_all(file):
    def leave(connection):
        raise SystemExit

    with pytest.raises(SystemExit):
        file.group.run(leave)
    file.write("later")
    assert file.written() == ["later"]


def test_more_writes_than_one_transaction_takes_are_all_written(file):
    values = [f"{number:03}" for number in range(LARGEST + 20)]
    assert meanwhile(file, values) == [None] * len(values)
    assert file.written() == values
