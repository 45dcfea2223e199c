"""Real database servers for the tests: one of each kind for all, or one of a test's own that it may take away.

PostgreSQL comes from Debian's packages. MongoDB is whatever `MONGODB_URI` or a `mongod` on the PATH gives, else the
server in `tests/support/mongo`, which speaks its wire protocol.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pymongo
from pymongo.errors import PyMongoError

DATABASES = ("sqlite", "postgresql", "mongodb")

#: Where `make test` puts the server it builds.
MONGO = Path(__file__).parents[2] / ".pushcart" / "servers" / "mongo"

#: Seconds a server may take to start or to stop.
PATIENCE = 20


class NoServer(Exception):
    """A database server that tests need is not on this machine."""


def fresh(kind: str, folder: Path) -> str:
    """The URL of a new, empty database on a server that all tests share; `folder` takes SQLite's file."""
    name = f"shop_{secrets.token_hex(6)}"
    if kind == "sqlite":
        return f"sqlite:///{folder}/{name}.db"
    uri = os.environ.get("MONGODB_URI")
    if kind == "mongodb" and uri:
        server, _, options = uri.partition("?")
        scheme, _, rest = server.partition("://")
        if "@" in rest and "authSource" not in options:
            options = f"{options}&authSource=admin" if options else "authSource=admin"
        return f"{scheme}://{rest.partition('/')[0]}/{name}" + (f"?{options}" if options else "")
    return _shared(kind).database(name)


def own_server(kind: str, folder: Path) -> Server:
    """A server, not started, with its data in `folder`; `with` starts it and ends it."""
    return {"postgresql": PostgreSQL, "mongodb": MongoDB}[kind](folder)


@cache
def _shared(kind: str) -> Server:
    folder = Path(tempfile.mkdtemp(prefix=f"pushcart-{kind}-"))
    server = own_server(kind, folder)
    server.start()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    return server


class Server(ABC):
    """A database server of one kind on a free port; `stop` or `kill` and `start` bring it back on its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "server"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """One database of this server, for tests that need no more."""
        return self.database("shop")

    @abstractmethod
    def database(self, name: str) -> str:
        """The URL of the database `name`, which is made if it is not there."""

    def start(self) -> None:
        """Returns when the server answers."""
        command = self._command()
        # The server ends with the process that started it, even when that is killed.
        guard = ["setpriv", "--pdeathsig", "KILL", *self._user(), "--"] if shutil.which("setpriv") else []
        log = (self.folder.parent / f"{type(self).__name__}.log").open("ab")
        self.process = subprocess.Popen([*guard, *command], stdout=log, stderr=log, start_new_session=True)
        log.close()
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > end or self.process.poll() is not None:
                raise NoServer(f"{command[0]} did not start; see {log.name}")
            time.sleep(0.05)

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """What a power cut does to the process."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
            self.process = None

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts the server, which makes its data at the first start."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server takes connections."""

    def _user(self) -> list[str]:
        return []


class PostgreSQL(Server):
    """The newest PostgreSQL of this machine (15 or later). It refuses to run as root, so then it runs as `postgres`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if os.geteuid() == 0:
            # The folder of a test is root's alone, and `postgres` has to reach its own.
            public = Path(tempfile.mkdtemp(prefix="pushcart-postgresql-"))
            public.chmod(0o755)
            atexit.register(shutil.rmtree, public, ignore_errors=True)
            self.folder = public / "server"

    def database(self, name: str) -> str:
        with self._connection() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://{self._login}@127.0.0.1:{self.port}/{name}"

    @property
    def _login(self) -> str:
        return "postgres"

    def _user(self) -> list[str]:
        return ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []

    def _command(self) -> list[str]:
        programs = _postgresql_programs()
        if not self.folder.exists():
            self._make(programs)
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "max_connections=200")
        options = [part for setting in settings for part in ("-c", setting)]
        return [str(programs / "postgres"), "-D", str(self.folder), "-p", str(self.port), *options]

    def _make(self, programs: Path) -> None:
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        made = [str(programs / "initdb"), "-D", str(self.folder), "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        # A language whose alphabet is not the order of bytes, as an owner's server may well have.
        locale = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        guard = ["setpriv", *self._user(), "--"] if self._user() else []
        subprocess.run([*guard, *made, *locale], check=True, capture_output=True)

    def _answers(self) -> bool:
        try:
            self._connection().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connection(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=self._login, dbname="postgres", autocommit=True, connect_timeout=5
        )


class MongoDB(Server):
    """A `mongod`, or the server that `make test` builds."""

    def database(self, name: str) -> str:
        return f"mongodb://127.0.0.1:{self.port}/{name}"

    def _command(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        mongod = shutil.which("mongod")
        if mongod:
            return [mongod, "--dbpath", str(self.folder), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        if not MONGO.exists():
            raise NoServer(f"{MONGO} is not there; make test builds it")
        return [str(MONGO), str(self.port), str(self.folder)]

    def _answers(self) -> bool:
        try:
            with pymongo.MongoClient("127.0.0.1", self.port, serverSelectionTimeoutMS=500) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True


def _postgresql_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise NoServer("PostgreSQL is not on this machine; on Debian: apt install postgresql")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
