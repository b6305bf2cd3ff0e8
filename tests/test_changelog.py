"""What changed is written down, up to the version that this is."""

import re
import tomllib
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[1]
HEADINGS = re.findall(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_newest_version_is_that_of_the_program() -> None:
    assert HEADINGS[0][0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_newest_is_above() -> None:
    versions, days = [Version(one) for one, _ in HEADINGS], [day for _, day in HEADINGS]
    assert (versions, days) == (sorted(versions, reverse=True), sorted(days, reverse=True))
