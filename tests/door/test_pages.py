"""The page on Python and its notebook run as they stand, and the wheel has what `import tidemark` needs."""

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.simulator.handle import Simulator
from pipeline.store.mongod.launch import any_free_port

ROOT = Path(__file__).parents[2]


def shown(code: str) -> str:
    """The code of a cell, whose last expression is shown."""
    tree = ast.parse(code)
    if isinstance(tree.body[-1], ast.Expr):
        last = tree.body.pop()
        tree.body.append(ast.parse(f"print({ast.unparse(last)})").body[0])
    return ast.unparse(tree)


def cells() -> list[str]:
    notebook = json.loads((ROOT / "docs" / "python.ipynb").read_text())
    assert notebook["nbformat"] == 4
    found = [one for one in notebook["cells"] if one["cell_type"] == "code"]
    assert all(one["outputs"] == [] and one["execution_count"] is None for one in found)
    return ["".join(one["source"]) for one in found]


def blocks() -> list[str]:
    page = (ROOT / "docs" / "python.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("code", "tables"), [(cells, 6), (blocks, 4)], ids=["notebook", "page"])
def test_it_runs_as_it_stands(code, tables: int, home: Path, simulator: Simulator) -> None:
    program = "\n".join(map(shown, code()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    environment |= {"TIDEMARK_HOME": str(home / "data"), "TIDEMARK_SIM_URL": simulator.url}
    environment["TIDEMARK_MONGO_PORT"] = str(any_free_port())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("shape: (") == tables


def test_the_wheel_has_it_and_says_that_it_is_typed(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"tidemark/__init__.py", "tidemark/door.py", "tidemark/py.typed", "pipeline/app/opened.py"} <= names
