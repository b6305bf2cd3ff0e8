"""The watch over the whole run finds a secret wherever one gets out, also where the run is divided."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128

from tests.secret_watch import search_database, search_logs, secrets_in, taken_back

SECRET = "".join(["hun", "ter2"])
LEAKS = {
    "printed": 'print("hunter2")',
    "complained": 'print("hunter2", file=sys.stderr)',
    "logged": 'logging.getLogger("any").warning("the key is %s", "hunter2")',
    "raised": 'raise ValueError("hunter2")',
    "of_a_process": 'subprocess.run(["echo", "hunter2"], capture_output=True)',
    "of_a_command": "CliRunner().invoke(saying, [])",
    "read_by_the_test": 'print("hunter2"); capsys.readouterr()',
}
QUIET = {"quiet": 'print("hunter")', "on_purpose": 'print("hunter2")'}
HEAD = """
import logging, subprocess, sys
import pytest, typer
from typer.testing import CliRunner

saying = typer.Typer()

@saying.command()
def say() -> None:
    print("hunter2")
"""


def test_a_secret_fails_the_test_that_let_it_out(home: Path) -> None:
    tests = [f"def test_{name}(capsys):\n    {body}\n" for name, body in (LEAKS | QUIET).items() if name != "printed"]
    tests += [f"def test_printed():\n    {LEAKS['printed']}\n"]
    text = "\n".join([HEAD, *tests]).replace("def test_on_purpose", "@pytest.mark.may_say_secrets\ndef test_on_purpose")
    (home / "test_leaks.py").write_text(text.replace("def test_complained(capsys)", "def test_complained()"))
    with (home / "said").open("w") as output:  # read by hand: what `subprocess` gives back is watched here too
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "tests.secret_watch", "-p", "no:cacheprovider", "-p", "no:asyncio",
             "-n", "1", "-q", "-rA", "--rootdir", str(home), "-c", "/dev/null", str(home / "test_leaks.py")],
            stdout=output, cwd=Path(__file__).parents[1], timeout=120, check=False,
        )  # fmt: skip
    said = (home / "said").read_text()
    assert done.returncode == 1, said
    wrong = set(re.findall(r"(?m)^(?:ERROR|FAILED) .*::test_(\w+)", said))
    right = set(re.findall(r"(?m)^PASSED .*::test_(\w+)", said))
    assert wrong == set(LEAKS), said
    assert set(QUIET) <= right
    assert "the secret 'hunter2' is in" in said


def test_a_database_and_log_files_are_searched(db: Any, home: Path) -> None:
    db.orders.insert_one({"_id": 1, "history": [{"detail": f"refused: {SECRET}"}], "fee": Decimal128("1.5")})
    search_database(db)
    assert taken_back() == [f"the secret {SECRET!r} is in the collection orders"]
    db.orders.delete_many({})
    (home / "mongo").mkdir()
    (home / "mongo" / "password").write_text("the database's own\n")
    (home / "page").mkdir()
    (home / "page" / "token").write_text("the word of the page\n")
    texts = {"a.log": f"key={SECRET}", "b.log.1": "the database's own", "c.log": "nothing", "d": SECRET}
    texts |= {"e.log": "Bearer the word of the page"}
    for name, text in texts.items():
        (home / "mongo" / name).write_text(text)
    assert sorted(Path(one.rpartition(" ")[2]).name for one in search_logs(home)) == ["a.log", "b.log.1", "e.log"]
    for name in ("a.log", "b.log.1", "e.log"):
        (home / "mongo" / name).unlink()


@pytest.mark.parametrize("said", [f"x{SECRET}y", f"x{SECRET}".encode(), "-----BEGIN-----\nMC4CAQAwBQYDK2VwBCIEIKabc"])
def test_a_part_is_enough(said: Any) -> None:
    assert secrets_in(said) != []
    assert secrets_in(said[1:2]) == []
