import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128
from pydantic import BaseModel, Field, SecretStr

from pipeline.cli.output import complain, print_json, print_table


class Side(Enum):
    LONG = "long"


@dataclass
class Point:
    x: int
    at: datetime


class Model(BaseModel):
    id: str = Field(alias="_id")
    price: Decimal


WHEN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (1, 1),
        (1.5, 1.5),
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("0.10"), "0.1"),
        (Decimal128("0.10"), "0.1"),
        (Decimal128("0E-8"), "0"),
        (Decimal("10000.00000000"), "10000"),
        (Decimal("1E-7"), "0.0000001"),
        (WHEN, "2026-01-31T12:00:00.000Z"),
        (WHEN.astimezone(timezone(timedelta(hours=9))), "2026-01-31T12:00:00.000Z"),
        (Path("a/b"), "a/b"),
        (Side.LONG, "long"),
        ({"a": (1, {2})}, {"a": [1, [2]]}),
        (Point(1, WHEN), {"x": 1, "at": "2026-01-31T12:00:00.000Z"}),
        (Model(_id="a", price=Decimal(1)), {"_id": "a", "price": "1"}),
        ("ü", "ü"),
    ],
)
def test_json_is_exact_and_valid(value: Any, expected: Any, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(value)
    assert json.loads(capsys.readouterr().out) == expected


@pytest.mark.parametrize("value", [object(), SecretStr("hunter2"), b"hunter2"])
def test_what_has_no_json_form_is_refused_without_showing_it(value: Any) -> None:
    with pytest.raises(TypeError) as refused:
        print_json([value])
    assert "hunter2" not in str(refused.value)


def test_a_table_shows_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("symbol", "price"), [("[red]BTCUSDT", Decimal("1.50")), (None, 22.5)], title="prices")
    shown = capsys.readouterr().out
    assert "prices" in shown
    assert "[red]BTCUSDT" in shown
    assert [line.split() for line in shown.splitlines()[3:]] == [["[red]BTCUSDT", "1.50"], ["-", "22.5"]]


def test_an_empty_table_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("symbol",), [])
    assert "symbol" in capsys.readouterr().out


def test_a_complaint_goes_to_stderr_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("x" * 300 + " [bold]")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"error: {'x' * 300} [bold]\n")
