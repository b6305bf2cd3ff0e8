"""The wheel, installed into an environment of its own, is all of the program: nothing of it is only in the checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from packaging.requirements import Requirement

from pipeline.app.door import secret_file
from tests.test_changelog import HEADINGS
from tests.web.conftest import SAYS

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "flows", "schemas", "tidemark")
LOADED = """
import importlib.metadata, json, pathlib, sys
import tidemark, pipeline, flows, schemas
from pipeline.strategies.registry import names
rooms = [pathlib.Path(sys.modules[name].__file__).parents[1] for name in ("tidemark", "pipeline", "flows", "schemas")]
extras = importlib.metadata.metadata("tidemark").get_all("Provides-Extra")
print(json.dumps([[str(one) for one in rooms], extras, names()]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without the network, by what is pinned."""
    folder = tmp_path_factory.mktemp("wheel")
    building = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(building, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel, and of the tests' own only the dependencies: a path in a `.pth` is searched,
    but what leads on from there, as to the checkout, is not followed."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    uv = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--offline",
        "--no-deps",
        "--no-cache",
    ]
    subprocess.run([*uv, "--python", str(folder / "bin" / "python"), str(wheel)], check=True, timeout=60)
    return folder / "bin"


def test_the_wheel_has_every_file_of_the_program(wheel: Path) -> None:
    files = (path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file())
    ours = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours


def test_it_says_the_newest_version_and_loads_all_from_itself(installed: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEMARK_", "PYTHON"))}

    def run(*command: str) -> str:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    assert run(str(installed / "tidemark"), "--version") == f"tidemark {HEADINGS[0][0]}\n"
    rooms, extras, strategies = json.loads(run(str(installed / "python"), "-c", LOADED))
    assert all(Path(one).is_relative_to(installed.parent) for one in rooms), rooms
    assert {"notify", "secrets", "cluster", "bench"} <= set(extras)
    assert "ma_breakout" in strategies


def test_what_pip_installs_without_our_pins_is_what_prefect_runs_with(wheel: Path) -> None:
    """Prefect 3.8.8 sets no bounds itself: beside these its server does not start, or schedules nothing."""
    with zipfile.ZipFile(wheel) as files:
        (metadata,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        lines = re.findall(r"^Requires-Dist: (.+)$", files.read(metadata).decode(), re.MULTILINE)
    asked = {one.name: one.specifier for one in map(Requirement, lines)}
    assert not asked["fastapi"].contains("0.165.0")
    assert not asked["sqlalchemy"].contains("2.1.9")


@pytest.fixture
def page(installed: Path, mongo_uri: str, home: Path) -> Iterator[tuple[requests.Session, str]]:
    """Somebody who may ask the page's server of the wheel, and where that is."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    environment |= {"TIDEMARK_HOME": str(home), "TIDEMARK_MONGO_URI": mongo_uri, "TIDEMARK_DATABASE": "wheel"}
    command = [str(installed / "tidemark"), "web", "--port", "0"]
    with subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        said = next(line for line in server.stdout if SAYS in line)
        session = requests.Session()
        session.headers["authorization"] = f"Bearer {secret_file(home).read_text()}"
        yield session, said.split(SAYS)[1].split()[0]
        server.terminate()


def test_its_page_is_served(page: tuple[requests.Session, str]) -> None:
    session, url = page
    static = ROOT / "pipeline" / "web" / "static"
    for path in (one for one in static.rglob("*") if one.is_file()):
        answer = session.get(f"{url}/{path.relative_to(static)}", timeout=60)
        assert answer.content == path.read_bytes(), path
