import os
import re
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import load
from pipeline.supervise.whole import STEPS
from schemas.signals import Signal
from tests.mongosh import Shell

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

SIGNAL = Signal(
    id="a",
    exchange="sim",
    symbol="BTCUSDT",
    interval="1h",
    strategy="macd_cross",
    kind="trial",
    side="long",
    candle=datetime(2026, 1, 1, tzinfo=UTC),
    at=datetime(2026, 1, 1, 1, tzinfo=UTC),
    price=100.0,
    strength=0.5,
    indicators={"rsi": 40.0},
    settings="default",
    source="history",
    confirmed=True,
    created_at=datetime(2026, 1, 1, 1, tzinfo=UTC),
    verdict="expired",
    return_pct=1.5,
)


def example(containing: str) -> str:
    """The indented block of the README that contains a text."""
    blocks: list[list[str]] = [[]]
    for line in README.splitlines():
        if line.startswith("    ") or (not line and blocks[-1]):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    (found,) = (text for text in ("\n".join(block) for block in blocks) if containing in text)
    return textwrap.dedent(found)


def test_the_python_example_finds_a_signal(mongo: Any, mongo_uri: str) -> None:
    mongo["readme"]["signals"].insert_one(SIGNAL.to_mongo())
    try:
        done = subprocess.run(
            [sys.executable, "-c", example("import tidemark")],
            env={**os.environ, "TIDEMARK_MONGO_URI": mongo_uri, "TIDEMARK_DATABASE": "readme"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        mongo.drop_database("readme")
    assert done.returncode == 0, done.stderr
    assert re.search(r"│ 2026-01-01 01:00:00 UTC ┆ macd_cross ┆ long ┆ 1.5 +│", done.stdout)
    assert len(example("import tidemark").splitlines()) == 4


def test_the_lines_for_mongosh_find_what_they_say(db: Any) -> None:
    db["signals"].insert_many([SIGNAL.to_mongo(), SIGNAL.to_mongo() | {"_id": "b", "verdict": "taken"}])
    newest, taken = (line for line in example("use tidemark").splitlines() if line.startswith("db."))
    assert len(Shell(newest, SIGNAL.at).run(db)) == 2
    assert Shell(taken, SIGNAL.at).run(db) == [{"at": SIGNAL.at, "symbol": "BTCUSDT", "reason": None}]
    assert len(example("use tidemark").splitlines()) == 4


def test_the_settings_example_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tidemark.toml").write_text(example("[risk]"))
    monkeypatch.chdir(tmp_path)
    settings = load()
    assert (settings.symbols, settings.risk.leverage) == (("BTCUSDT", "ETHUSDT"), 2)


def test_the_promised_lines_are_those_the_demo_prints() -> None:
    words = [line.split()[0] for line in example("ready after").splitlines() if line]
    assert words == ["database", *(step.name for step in STEPS), "ready"]


def test_the_pictures_are_there_and_modest() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 3
    for path in pictures:
        assert 10_000 < (ROOT / path).stat().st_size < 300_000
