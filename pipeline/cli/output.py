"""How a command speaks: data on stdout (a table, or JSON with `--json`), everything about it on stderr."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.figures import plain
from pipeline.cli.table import Column, Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]
"""The type of a command's `as_json` parameter."""
Wide = Annotated[bool, typer.Option("--wide", help="Every column, also where the terminal is too narrow for all.")]
"""The type of the `wide` parameter of a command that prints a table."""


def complain(message: str) -> None:
    """Say on stderr what went wrong, in red where there is a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    Console(stderr=True, soft_wrap=True).print(Text.assemble(("error: ", "bold red"), message))


def print_json(value: Any) -> None:
    """Print a value as JSON. Money becomes text, exact and without zeros it does not need, a time becomes ISO 8601 in
    UTC, NaN becomes null."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(
    columns: Sequence[Column | str], rows: Iterable[Sequence[Any]], title: str | None = None, *, wide: bool = False
) -> None:
    """Print rows as a table that fits: numbers are right-aligned, None is a dash. What found no room is named."""
    from rich.console import Console  # noqa: PLC0415

    table, console = Table(columns, rows, title=title, wide=wide), Console()
    console.print(table, crop=False)
    left_out = table.left_out(console.width)
    if left_out:
        typer.echo(f"not shown for want of room: {', '.join(left_out)}; --wide shows all", err=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(by_alias=True))
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Decimal) or hasattr(value, "to_decimal"):
        return plain(value if isinstance(value, Decimal) else value.to_decimal())
    raise TypeError(f"{type(value).__name__} has no JSON form here; turn it into one before printing")
