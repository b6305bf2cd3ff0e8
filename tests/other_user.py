"""A second user of the machine, beside a whole Tidemark that lies open to him: what he can read of it, what he can end,
and at which doors he is let in. `python -m tests.other_user` is he."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.soak.memory import role_of
from tests.whole import House

NOBODY = 65_534
ROOT = Path(__file__).parents[1]
UNAUTHORIZED = 13
REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


def database(port: int) -> str | None:
    """Without a login: not even the first user can be made."""
    user: dict[str, Any] = {"createUser": "me", "pwd": "me", "roles": ["root"]}
    with MongoClient[Any]("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=60_000) as client:
        for command in ({"listDatabases": 1}, user):
            try:
                client.admin.command(command)
            except OperationFailure as refused:
                if refused.code == UNAUTHORIZED:
                    continue
                raise
            return str(command)
    return None


def pages(*paths: str) -> Callable[[int], str | None]:
    """Addresses that are not for everybody."""

    def knock(port: int) -> str | None:
        for path in paths:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60):
                    return path
            except urllib.error.HTTPError as answer:
                if answer.code not in REFUSED:
                    raise
        return None

    return knock


def word_of_a_run(port: int) -> str | None:
    """Where runs of flows hear that they are to end: nobody else is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as door, suppress(TimeoutError, ConnectionError):
        door.sendall(b"0" * 32 + b"\n")
        return repr(said) if (said := door.recv(100)) else None
    return None


DOORS: dict[str, Callable[[int], str | None]] = {
    "mongod": database,
    "page": pages("/api/coins", "/api/account", "/api/trading"),
    "prefect": pages("/api/flows/name/returns", "/api/admin/settings"),
    "exchange": pages(*(f"{path}?timestamp=0" for path in ("/fapi/v3/balance", "/dapi/v1/balance", "/api/v3/account"))),
    "flows": word_of_a_run,
}
"""Where he is let in, if anywhere."""
FIGURES = {"ingester", "executor"}
"""How many and how fast is told to everybody."""


def doors_of(house: House) -> list[tuple[str, int]]:
    """Where its processes listen; there is no other door."""
    found = {
        (role_of(one.cmdline()) or " ".join(one.cmdline()), heard.laddr.port)
        for one in house.processes()
        for heard in one.net_connections("all")
        if heard.status == psutil.CONN_LISTEN
    }
    assert {role for role, _ in found} - FIGURES == set(DOORS)
    return sorted(found)


@contextmanager
def lying_open(home: Path) -> Iterator[None]:
    """No folder above what Tidemark itself makes keeps anybody out."""
    before = {one: one.stat().st_mode for one in (home, *home.parents)}
    closed = {one: mode for one, mode in before.items() if mode & 0o755 != 0o755}
    try:
        for one, mode in closed.items():
            one.chmod(mode | 0o755)
        yield
    finally:
        for one, mode in closed.items():
            one.chmod(mode)


def what_he_can(house: House) -> Any:
    """Tried as another user by root, who may become one; by anybody else as himself, who may read what is his."""
    asked = [str(house.home), doors_of(house), [one.pid for one in house.processes()]]
    with lying_open(house.home):
        done = subprocess.run(
            [sys.executable, "-m", "tests.other_user"], input=json.dumps(asked), capture_output=True, text=True,
            timeout=240, check=False, cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _reads(path: str | Path) -> bool:
    with suppress(PermissionError, FileNotFoundError, ProcessLookupError):
        Path(path).read_bytes()
        return True
    return False


def _ends(process: int) -> bool:
    with suppress(PermissionError, ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def _try() -> None:
    home, doors, processes = json.load(sys.stdin)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    files = [str(Path(at, name).relative_to(home)) for at, _, names in os.walk(home) for name in names]
    let_in = {role: DOORS[role](port) for role, port in doors if role in DOORS}
    told = {
        "files": [one for one in files if _reads(Path(home, one))],
        "environments": [one for one in processes if _reads(f"/proc/{one}/environ")],
        "ended": [one for one in processes if _ends(one)],
        "let in": {role: door for role, door in let_in.items() if door is not None},
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _try()
