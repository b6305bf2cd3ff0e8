"""Every module of the bench is a group, which can be run, or a part of one; a group that dies is no success."""

import re
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import bench
from bench import __main__ as command
from bench.__main__ import names

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"\bbench\.(\w+)|^from bench import (.+)$|\"(\w+)\.py\"", re.MULTILINE)
"""How a module says of another that it uses it."""


def used(text: str) -> set[str]:
    """The modules that it names."""
    return set(re.findall(r"\w+", " ".join("  ".join(found) for found in NAMED.findall(text))))


def test_every_module_is_a_group_that_can_be_run_or_is_used_by_one() -> None:
    sources = {file.stem: file.read_text() for file in Path(*bench.__path__).glob("*.py") if file.stem != "__init__"}
    groups = names()
    assert [one for one in groups if not re.search(r"^def run\(quick: bool\)", sources[one], re.MULTILINE)] == []
    assert {"store", "live", "page", "prefect"} <= set(groups)
    found, left = set[str](), {"__main__", *groups, *used((ROOT / "Makefile").read_text())}
    while left:
        found |= left
        left = {part for one in left for part in used(sources[one])} & set(sources) - found
    assert sorted(set(sources) - found) == [], "neither a group, for it has no run(quick), nor used by one"


@pytest.mark.parametrize(("dead", "code"), [([], 0), (["store"], 1)])
def test_a_group_that_dies_makes_the_exit_code_another(
    dead: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["python -m bench", "--quick", "--only", "store"])
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "leaving_nothing", nullcontext)  # it ends what the process of the tests has begun
    monkeypatch.setattr(command, "measure", lambda *_, **__: ([], {"store": 1.0}, dead))
    assert command.main() == code
    assert ("without a result, see above: store" in capsys.readouterr().out) is bool(dead)


@pytest.mark.parametrize("beside", [["--quick"], ["--only", "store"]])
def test_the_page_is_given_the_figures_of_all_groups_and_no_others(
    beside: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["python -m bench", "--page", *beside])
    monkeypatch.setattr(command, "leaving_nothing", nullcontext)
    monkeypatch.setattr(command, "measure", lambda *_, **__: pytest.fail("nothing is measured for it"))
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert f"{beside[0]} " in capsys.readouterr().err
