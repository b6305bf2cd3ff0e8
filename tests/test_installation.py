import os
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make install` needs of a fresh checkout, beside a `bin` folder that is the whole PATH."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    return tmp_path


def install(checkout: Path) -> subprocess.CompletedProcess[str]:
    make = shutil.which("make")
    assert make is not None
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout)}
    return subprocess.run([make, "install"], cwd=checkout, env=environment, capture_output=True, text=True, timeout=60)


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("found", [None, "exit 127", "exit 1"], ids=["none", "a shim of nothing", "too old"])
def test_without_a_python_that_is_new_enough_it_says_so(found: str | None, checkout: Path) -> None:
    if found:
        script(checkout / "bin" / "python3", found)
    done = install(checkout)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("Python 3.11, 3.12 or 3.13 is needed, and none was found on PATH")


def test_without_the_venv_module_it_says_how_to_get_it(checkout: Path) -> None:
    script(checkout / "bin" / "python3", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    done = install(checkout)
    assert done.returncode != 0
    assert "sudo apt-get install python3-venv" in done.stderr.splitlines()[0]


def test_a_newer_python_beside_an_old_one_is_taken(checkout: Path) -> None:
    script(checkout / "bin" / "python3", "exit 1")
    script(checkout / "bin" / "python3.12", 'if [ "$1" = -m ]; then echo "made by $0: $*"; exit 9; fi')
    done = install(checkout)
    assert "made by" in done.stdout
    assert "python3.12: -m venv --clear .venv" in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("uv", "setting", "by_pip"),
    [("exit 0", "", False), ("exit 1", "", True), ("exit 0", "global.index-url='https://mirror'", True)],
    ids=["uv", "uv fails", "pip has a mirror"],
)
def test_pip_installs_what_uv_cannot(uv: str, setting: str, by_pip: bool, checkout: Path) -> None:
    for name in ("sed", "grep", "touch"):
        (checkout / "bin" / name).symlink_to(shutil.which(name) or name)
    installed = checkout / ".venv" / "bin"
    installed.mkdir(parents=True)
    script(installed / "python", f'case "$*" in *config*) echo "{setting}" ;; *) echo "pip: $*" ;; esac')
    script(installed / "uv", f'echo "uv: $*"; {uv}')
    script(installed / "tidemark", "exit 0")
    done = install(checkout)
    assert done.returncode == 0
    assert ("uv: " in done.stdout) != ("mirror" in setting)
    assert bool(re.search(r"^pip: .*--require-hashes -r constraints.txt", done.stdout, re.MULTILINE)) is by_pip


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-dev.txt"])
def test_everything_is_pinned_and_hashed_and_nothing_says_where_from(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[\w.-]+==[^\s;]+", block) and "--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "index-url" not in text


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE):
        found.setdefault(package.lower(), set()).add(version)
    return found


def test_what_is_pinned_is_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    everything = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    wanted = {
        "constraints.txt": [*project["dependencies"], *extras["build"], *extras["notify"], *extras["cluster"]],
        "constraints-dev.txt": everything,
    }
    for name, lines in wanted.items():
        pinned = pins(name)
        for requirement in map(Requirement, lines):
            if requirement.name != "tidemark":
                versions = pinned[requirement.name.lower()]
                assert all(requirement.specifier.contains(version) for version in versions), (name, requirement)


def test_the_pythons_that_are_named_are_those_that_are_taken() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    taken = [f"3.{minor}" for minor in range(50) if f"3.{minor}" in SpecifierSet(project["requires-python"])]
    assert project["classifiers"] == [f"Programming Language :: Python :: {version}" for version in taken]
    said = f"Python {', '.join(taken[:-1])} or {taken[-1]}"
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", "pipeline/app/checks.py"):
        assert said in (ROOT / name).read_text(), name


def test_users_and_developers_run_the_same_versions() -> None:
    developers = pins("constraints-dev.txt")
    assert all(developers[package] == versions for package, versions in pins("constraints.txt").items())


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    page = (ROOT / "docs" / "dependencies.md").read_text()
    missing = {Requirement(line).name for line in lines if Requirement(line).name not in page}
    assert missing == {"tidemark"}


def test_ci_is_a_script_that_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0
