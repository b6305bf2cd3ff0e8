"""Compiled code that is kept on disk: what an older source left is never in the way of a newer one, whichever file of
its folder has changed."""

import subprocess
import sys
from pathlib import Path

SOURCE = """
from typing import NamedTuple
from numba import njit
from pipeline.research.backtest.compiled.compiling import named_by_source

class {name}(NamedTuple):
    count: int

def twice(one):
    return 2 * one.count

kept = njit(named_by_source(twice), cache=True)
print(kept({name}(4)), sum(kept.stats.cache_hits.values()))
"""


def ran(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    (folder / "rules.py").write_text(SOURCE.format(name=name))
    code = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(Path.cwd())!r}]; import rules"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_a_class_that_was_renamed_since_is_no_matter(tmp_path: Path) -> None:
    assert ran(tmp_path, "Old").stdout.split() == ["8", "0"]
    renamed = ran(tmp_path, "Newer")
    assert renamed.stdout.split() == ["8", "0"], renamed.stderr


PARTS = """
from numba import njit

@njit(forceinline=True)
def times(number):
    return {factor} * number
"""
WHOLE = """
from parts import times
from pipeline.research.backtest.compiled.compiling import whole

def scaled(number):
    return times(number)

kept = whole(scaled)
print(kept(4), sum(kept.stats.cache_hits.values()))
"""


def test_what_is_called_from_another_file_of_the_folder_is_that_of_today(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(WHOLE)
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(Path.cwd())!r}]; import rules"
    told = []
    for factor in (2, 2, 3):
        (tmp_path / "parts.py").write_text(PARTS.format(factor=factor))
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        told.append((found.stdout.split(), found.stderr))
    assert told == [(["8", "0"], ""), (["8", "1"], ""), (["12", "0"], "")]
