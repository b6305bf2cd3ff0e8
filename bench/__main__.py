"""`python -m bench [--quick] [--only NAME] [--strict] [--page]`: run the benchmarks, print and write one table."""

import argparse
import importlib
import json
import pkgutil
import sys
from pathlib import Path
from time import perf_counter

from rich.console import Console

import bench
from bench.table import Row, machine, to_json, to_markdown, to_table

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
MARK = "<!-- what follows is written by `python -m bench --page` -->\n"
_FRAME = {"__main__", "table"}


def names() -> list[str]:
    """The benchmark modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.name not in _FRAME)


def main() -> int:
    """Run what was asked for. With --strict the exit code is 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=bench.__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data: a smoke test, not a measurement")
    parser.add_argument("--only", action="append", choices=names(), help="run this one; may be given again")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--page", action="store_true", help="put the table into docs/benchmarks.md too")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 180)
    rows: list[Row] = []
    for name in arguments.only or names():
        module = importlib.import_module(f"bench.{name}")
        if hasattr(module, "run"):
            begun = perf_counter()
            rows += module.run(arguments.quick)
            console.print(f"[dim]{name}: {perf_counter() - begun:.0f} s[/dim]")
    console.print(to_table(rows))
    where = machine()
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / ("quick" if arguments.quick else "full")
    stem.with_suffix(".md").write_text(to_markdown(rows, where))
    stem.with_suffix(".json").write_text(json.dumps({"machine": where, "rows": to_json(rows)}, indent=2))
    console.print(f"written: {stem}.md, {stem}.json")
    if arguments.page:
        PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + "\n" + to_markdown(rows, where))
    missed = [row.name for row in rows if row.met is False]
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
