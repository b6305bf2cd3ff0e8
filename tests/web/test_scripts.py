"""The page's own code, as far as it draws nothing: run by the Node that comes with the browser's driver."""

import re
import subprocess
from pathlib import Path

import playwright
import pytest

NODE = Path(playwright.__file__).parent / "driver" / "node"
TESTS = sorted((Path(__file__).parent / "js").glob("*.mjs"))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_it_holds(file: Path) -> None:
    done = subprocess.run([NODE, "--test", file], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail 0" in done.stdout


def test_the_page_asks_for_all_of_its_code_at_once_and_not_one_file_behind_the_other() -> None:
    static = Path(__file__).parents[2] / "pipeline" / "web" / "static"
    page = (static / "index.html").read_text(encoding="utf-8")
    begun = re.findall(r"""<script type="module" src="(.+?)">|<link rel="modulepreload" href="(.+?)">""", page)
    code = sorted(f"/{file.relative_to(static).as_posix()}" for file in static.rglob("*.js"))
    assert sorted(one or other for one, other in begun) == code


def test_an_address_within_the_page_is_made_in_one_place_that_keeps_the_exchange() -> None:
    static = Path(__file__).parents[2] / "pipeline" / "web" / "static"
    told = {file.name for file in static.rglob("*.js") if re.search(r"""["'`]#/""", file.read_text(encoding="utf-8"))}
    assert told == {"main.js"}
