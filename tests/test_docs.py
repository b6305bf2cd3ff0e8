"""What the pages tell people to type: the walk of getting-started is run, other commands are at least understood."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import build

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
TIDEMARK = Path(sys.executable).parent / "tidemark"


def fenced(page: Path, *kinds: str) -> list[str]:
    """The lines of the fenced blocks of these kinds."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [line for kind, text in blocks if kind in kinds for line in text.splitlines()]


def commands() -> list[tuple[str, str]]:
    """Every `tidemark ...` line of every page, without what explains it."""
    found = []
    for page in PAGES:
        for line in fenced(page, "", "sh", "run"):
            command = re.split(r"\s{2,}|\s#", line.removeprefix("$ ").strip())[0]
            if command.startswith("tidemark "):
                found.append((page.name, command))
    return found


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_of_the_docs_exists_with_these_options(page, command):
    arguments = shlex.split(command)[1:]
    understood = CliRunner().invoke(build(), [*arguments, "--help"])
    assert understood.exit_code == 0, understood.output


def test_the_walk_of_getting_started_works_from_nothing(home):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    environment |= {"TIDEMARK_HOME": str(home / "data"), "TIDEMARK_HISTORY_DAYS": "60"}
    for command in fenced(ROOT / "docs" / "getting-started.md", "run"):
        done = subprocess.run(
            [TIDEMARK, *shlex.split(command)[1:]],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


SAFETY, README = ROOT / "docs" / "safety.md", ROOT / "README.md"


def promises(page: Path) -> list[str]:
    """What a page names as shown by a test."""
    return re.findall(r"`((?:\w+/)*test_\w+\.py(?:::test_\w+)?)` \|$", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("named", [*promises(SAFETY), *promises(README)])
def test_a_test_that_a_page_names_for_its_promise_exists(named):
    file, _, function = named.partition("::")
    found = (ROOT / "tests" / file).read_text()
    assert not function or re.search(rf"^(?:async )?def {function}\(", found, re.MULTILINE)


@pytest.mark.parametrize(("page", "least"), [(SAFETY, 30), (README, 10)], ids=["safety", "README"])
def test_every_promise_names_its_test(page, least):
    lines = re.findall(r"^\| (?!what|---|you are|a \w+ \||an \w+ \|)(.*) \|$", page.read_text(), re.MULTILINE)
    assert len([line for line in lines if not line.startswith("---")]) == len(promises(page)) > least
