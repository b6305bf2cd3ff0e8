"""`python -m bench [--quick] [--only NAME] [--strict] [--page]`: run the benchmarks, print and write one table."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from rich.console import Console

import bench
from bench.alone import Ended, measured_alone
from bench.table import Row, machine, to_json, to_markdown, to_table
from bench.tidy import leaving_nothing

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
MARK = "<!-- what follows is written by `python -m bench --page` -->\n"
GROUP = "\ndef run(quick: bool) -> list[Row]:\n"
"""What a module of this package has that is a benchmark, and no part of others."""
AT_ONCE = 2
"""Groups beside each other in the quick form: many of them only wait, for servers and by the clock."""
INTERRUPTED = 130


def names() -> list[str]:
    """The benchmark modules of this package."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if GROUP in file.read_text())


def main() -> int:
    """Run what was asked for. With --strict the exit code is 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=bench.__doc__)
    parser.add_argument("--quick", action="store_true", help="small data: a smoke test, not a measurement")
    parser.add_argument("--only", action="append", choices=names(), help="run this one; may be given again")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--page", action="store_true", help="put the table into docs/benchmarks.md too")
    arguments = parser.parse_args()
    if arguments.quick and arguments.page:
        parser.error("--quick is a smoke test: its figures are not for the page")
    if arguments.only and arguments.page:
        parser.error("--only would leave the page without the tables of all other groups: put in its rows by hand")
    console = Console(width=None if sys.stdout.isatty() else 180)
    begun = perf_counter()
    try:
        with leaving_nothing():
            rows, took, failed = measure(arguments.only or names(), console, quick=arguments.quick)
    except KeyboardInterrupt:
        console.print("interrupted: what was begun is ended, and nothing is written")
        return INTERRUPTED
    report(rows, took, perf_counter() - begun, console, quick=arguments.quick, page=arguments.page and not failed)
    if failed:
        console.print(f"without a result, see above: {', '.join(failed)}")
    return 1 if failed or (arguments.strict and any(row.met is False for row in rows)) else 0


def measure(wanted: Sequence[str], console: Console, *, quick: bool) -> tuple[list[Row], dict[str, float], list[str]]:
    """The rows of these benchmarks, how many seconds each of them took, and those that failed. They are run one after
    the other; in the quick form, whose times are no figures, some at once."""
    ended: dict[str, Ended] = {}
    for one in measured_alone(wanted, quick=quick, at_once=AT_ONCE if quick else 1):
        ended[one.name] = one
        console.print(f"[dim]{one.name}: {one.seconds:.0f} s[/dim]")
    in_order = [ended[name] for name in wanted]
    rows = [row for one in in_order for row in one.rows or ()]
    failed = [one.name for one in in_order if one.rows is None]
    return rows, {one.name: one.seconds for one in in_order}, failed


def report(rows: list[Row], took: dict[str, float], whole: float, console: Console, *, quick: bool, page: bool) -> None:
    """Print the table and write it."""
    where = machine()
    markdown = to_markdown(rows, where, took, whole, quick=quick)
    console.print(to_table(rows, took, whole, quick=quick))
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / ("quick" if quick else "full")
    stem.with_suffix(".md").write_text(markdown)
    found = {"machine": where, "smoke_test": quick, "seconds": took, "whole": whole, "rows": to_json(rows)}
    stem.with_suffix(".json").write_text(json.dumps(found, indent=2))
    console.print(f"written: {stem}.md, {stem}.json")
    if page:
        PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + "\n" + markdown)


if __name__ == "__main__":
    sys.exit(main())
