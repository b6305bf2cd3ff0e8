"""What the page of benchmarks says of its goals: of each whether it is met, and how many of each kind there are."""

import re
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
ANSWERS = ("yes", "no", "not measured")
RUN = "A run of 2026-11-28"
"""What the bench itself has written stands below, and is counted together."""


def goals() -> dict[str, Counter[str]]:
    """By heading, how many goals are met, missed and not measured."""
    found: dict[str, Counter[str]] = {}
    heading, columns = "", list[str]()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [one.strip() for one in line.split("|")[1:-1]]
        if line.startswith("#"):
            heading = RUN if heading == RUN else line.lstrip("# ")
        elif not cells:
            columns = []
        elif not columns:
            columns = cells
        elif {"goal", "target"} & set(columns) and not set(line) <= set("|-"):
            row = dict(zip(columns, cells, strict=True))
            if row.get("goal", row.get("target")):
                met = row["met"].lower()  # the bench writes NO
                assert met in ANSWERS, line
                found.setdefault(heading, Counter())[met] += 1
            else:
                assert row["met"] == "", f"met, and no goal: {line}"
    return found


def test_every_goal_is_met_or_missed_or_not_measured_and_they_are_counted() -> None:
    told = re.findall(
        r"^\| \[(.+?)\]\(#.+?\) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert told == [(heading, *(str(of[answer]) for answer in ANSWERS)) for heading, of in goals().items()], (
        "the first table of docs/benchmarks.md counts what stands below it"
    )
