"""Searches what the whole test run says, logs and stores for the secrets that the tests work with.

A pytest plugin. A secret that is found fails the test that let it out: in what it printed and logged, in what commands
and processes that it started said, in its exception, or in its database. Log files are searched at the end of the run.
Each process of a divided run searches what is its own. It cannot see what a test throws away unread.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from typer.testing import CliRunner

SECRETS = {
    "hunter2",
    "canary-key-",
    "canary-secret-",
    "CANARYkey",
    "CANARYsecret",
    "very-secret-token",
    "a%20pass%2Fword%40of%3Aours",
    "a pass/word@of:ours",
    "MC4CAQAwBQYDK2VwBCIE",
    "BADANBgkqhkiG9w0BAQEFAASC",
}
"""Keys, passwords and tokens of the tests, or a part that is theirs alone. The last two begin every Ed25519 and every
RSA private key. The database's own password is added once there is one: see `keep_secret`."""

MAY_SAY = "may_say_secrets"
_NUMBERS_ONLY = {"candles"}
_found: list[str] = []


def keep_secret(text: str) -> str:
    """From now on nobody may say this."""
    SECRETS.add(text)
    return text


def secrets_in(said: str | bytes, others: Iterable[str] = ()) -> list[str]:
    """Which of them it contains."""
    raw = said if isinstance(said, bytes) else said.encode(errors="replace")
    return [secret for secret in (*SECRETS, *others) if secret.encode() in raw]


def note(said: str | bytes | None, where: str) -> None:
    """The test that runs now fails if this contains a secret."""
    _found.extend(f"the secret {secret!r} is in {where}" for secret in (secrets_in(said) if said else ()))


def taken_back() -> list[str]:
    """What was found since it was last asked for."""
    found = sorted(set(_found))
    _found.clear()
    return found


def search_database(database: Database[Any]) -> None:
    """Everything that is stored, but for what holds numbers only."""
    for name in database.list_collection_names(filter={"type": "collection"}):
        if name not in _NUMBERS_ONLY and not name.startswith("system."):
            for batch in database[name].find_raw_batches():
                note(batch, f"the collection {name}")


def passwords_below(folder: Path) -> list[str]:
    """Of the databases, the Prefects and the pages that have their files there."""
    files = [each for name in ("password", "login", "token") for each in folder.rglob(name) if each.is_file()]
    found = [each.read_text().strip().rpartition(":")[2] for each in files]
    return [each for each in found if len(each) > 8]


def search_logs(*folders: Path, secrets: Iterable[str] = ()) -> list[str]:
    """What is wrong with the log files below: none may hold a secret, nor the password of a server below."""
    own = [*secrets, *(each for folder in folders for each in passwords_below(folder))]
    files = (path for folder in folders for path in folder.rglob("*.log*") if path.is_file())
    return [f"the secret {one!r} is in {path}" for path in files for one in secrets_in(path.read_bytes(), own)]


# What pytest calls


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MAY_SAY}: the test says secrets on purpose")
    _listen(CliRunner, "invoke", lambda done: (done.stdout, done.stderr))
    _listen(subprocess.Popen, "communicate", lambda done: done)
    _listen(pytest.CaptureFixture, "readouterr", lambda done: done)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    report: pytest.TestReport = yield
    if call.excinfo is not None:
        note(call.excinfo.exconly(), "the exception")
    if call.when == "teardown":
        for title, text in report.sections:
            note(text, f"the {title.lower()}")
        found = taken_back()
        if found and item.get_closest_marker(MAY_SAY) is None:
            report.outcome, report.longrepr = "failed", "\n".join(found)
    return report


def _listen(owner: type, name: str, texts_of: Callable[[Any], Iterable[str | bytes | None]]) -> None:
    """Note what that method of it answers with."""
    plain = getattr(owner, name)

    @wraps(plain)
    def heard(*arguments: Any, **options: Any) -> Any:
        done = plain(*arguments, **options)
        for text in texts_of(done):
            note(text, f"what {owner.__name__}.{name} gave")
        return done

    setattr(owner, name, heard)
