"""The report of a soak as one table, and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.soak.explaining import by_cause
from tests.soak.memory import Life
from tests.soak.run import Report


def show(report: Report, console: Console) -> None:
    """One table: the laws, the faults, the memory."""
    table = Table(title=f"soak, seed {report.seed}", title_justify="left", header_style="bold")
    for column in ("what", "seen", "verdict"):
        table.add_column(column, overflow="fold")
    for check in report.checks:
        table.add_row(check.name, check.seen, "ok" if check.fine else "; ".join(check.wrong))
    table.add_section()
    table.add_row("faults", f"{sum(report.faults.values())} in {report.planned:.0f} s", _list(report.faults))
    table.add_row("breakers reset by hand", str(report.breakers), "")
    if report.quiet_after is not None:
        table.add_row("all laws held", f"{report.quiet_after:.1f} s after the last fault", "")
    table.add_section()
    for life in report.lives:
        table.add_row(f"memory of {life.role}", f"{life.seconds:.0f} s", _memory(life))
    console.print(table)
    for account in report.explained:
        _show_causes(account, console)


def store(report: Report, path: Path) -> None:
    """The same for a program; of the samples of memory one a minute."""
    told = asdict(report) | {"reasons": report.reasons, "lives": [_life(life) for life in report.lives]}
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _show_causes(account: Mapping[str, Any], console: Console) -> None:
    """What live brought, from what the backtest did."""
    title = f"{account['exchange']}: live {account['live']} {account['asset']}, the backtest {account['backtest']}"
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in ("cause", "positions", "money", "basis points"):
        table.add_column(column)
    for name, count, money, points in by_cause(account):
        table.add_row(name, str(count), f"{money:+.4f}", f"{points:+.2f}")
    console.print(table)


def _memory(life: Life) -> str:
    first, last = life.samples[0][1], life.samples[-1][1]
    return f"{first:.0f} -> {last:.0f} MB" + (f", {life.slope:+.1f} MB/h" if life.is_long else "")


def _life(life: Life) -> dict[str, Any]:
    sizes = [size for _, size in life.samples]
    return {
        "role": life.role,
        "pid": life.pid,
        "seconds": round(life.seconds, 1),
        "first_mb": round(sizes[0], 1),
        "last_mb": round(sizes[-1], 1),
        "most_mb": round(max(sizes), 1),
        "mb_by_minute": [round(size) for size in life.by_minute],
        "slope_mb_per_hour": round(life.slope, 1) if life.is_long else None,
        "judged": life.is_long,
    }


def _list(faults: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in faults.items())
