"""The pages for whoever comes next name files, functions and classes: each of them exists, and every room is named."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
TOPS = "pipeline|flows|schemas|tidemark|tests|bench|docs"
MENTION = re.compile(rf"`((?:{TOPS})(?:/[\w./-]+)?)`((?::? ?`[\w.]+`,?)*)")


def mentions(page: str) -> Iterator[tuple[str, str | None]]:
    """Each path of the page, with each name that follows it: `path`: `function`, `Class.method`."""
    for path, names in MENTION.findall((ROOT / page).read_text()):
        yield path, None
        for name in re.findall(r"`([\w.]+)`", names):
            yield path, name


def defined(path: Path) -> set[str]:
    """What a module defines at its top, and `Class.method` for each method and field."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Assign():
                found.update(target.id for target in node.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(f"{node.name}.{inner.name}")
    return found


@pytest.mark.parametrize(("path", "name"), sorted({each for page in PAGES for each in mentions(page)}, key=str))
def test_what_the_pages_name_exists(path: str, name: str | None) -> None:
    there = ROOT / path
    assert there.exists(), path
    if name is not None:
        assert name in defined(there), f"{path} has no {name}"


def test_every_room_is_named() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {folder.parent for folder in (ROOT / "pipeline").rglob("__init__.py")} - {ROOT / "pipeline"}
    missing = sorted(room.name for room in rooms if not re.search(rf"^ +{room.name}/ ", page, re.MULTILINE))
    assert missing == []
