"""The exchange's public archive, made from a market on demand: zips of candles and their checksums.

The same question gives the same bytes, and the files made last are remembered. A file appears six hours after its last
candle closed; before that, for an unknown name and for a day declared missing, there is none. Files whose first day is
before `HEADERS_SINCE` have no header row, as the real ones of that time.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from pipeline.simulator.errors import ApiError
from pipeline.simulator.market.memory import Memory
from pipeline.simulator.types import Market
from pipeline.simulator.wire.format import Row, rest_rows
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE, Interval, to_ms

HEADERS_SINCE: Final = date(2022, 1, 1)
HEADER: Final = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip

PUBLISHED_AFTER: Final = 6 * HOUR

_NAME: Final = re.compile(
    r"(?P<folder>/data/.+)/(?P<span>daily|monthly)/klines/(?P<symbol>[^/]+)/(?P<code>[^/]+)/"
    r"(?P=symbol)-(?P=code)-(?P<when>\d{4}-\d{2}(?:-\d{2})?)\.zip(?:\.CHECKSUM)?"
)
_CHECKSUM: Final = ".CHECKSUM"
_MONTH: Final = INTERVALS["1M"]
_MONTH_CODE: Final = "1mo"
_MICRO: Final = 1_000
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
_ZIP_LEVEL: Final = 1  # a tenth larger than by default, in a sixth of the time
_ZIPS_REMEMBERED: Final = 24  # a month of minutes is 2 MB


@dataclass(frozen=True, slots=True)
class ArchiveRules:
    """Where a market's files are, and how they are written. `micro_since`: times are in microseconds from that day."""

    folder: str = "/data/futures/um"
    intervals: Mapping[str, Interval] = field(default_factory=lambda: INTERVALS)
    micro_since: date | None = None


class Damage(StrEnum):
    """What is wrong with an archive file."""

    BAD_BYTES = "bad-bytes"  # the zip cannot be read; its checksum is of the sound one
    WRONG_CHECKSUM = "wrong-checksum"  # the zip is sound; its checksum is another's


@dataclass(frozen=True, slots=True)
class ArchiveFaults:
    """Holes and damage, by rule: days without a file as (symbol, day), and damaged files by their zip's name.

    A missing day has no daily file of any interval, and its candles of a day or less are absent from the monthly one.
    """

    missing: frozenset[tuple[str, date]] = frozenset()
    damaged: dict[str, Damage] = field(default_factory=dict)

    def days_missing(self, symbol: str) -> frozenset[date]:
        """The days without a file of that symbol."""
        return frozenset(day for each, day in self.missing if each == symbol)


class _Request(NamedTuple):
    """A file of the archive: its candles are those of `interval` that open in [start, end]."""

    symbol: str
    interval: Interval
    start: int
    end: int
    name: str


class _Zip(NamedTuple):
    """A zip as it is made: its candles without those of the missing days."""

    request: _Request
    missing: frozenset[date]


class Archive:
    """The archive of one market."""

    def __init__(self, market: Market, rules: ArchiveRules | None = None) -> None:
        self._market = market
        self._rules = rules or ArchiveRules()
        self._zips: Memory[_Zip, bytes | None] = Memory(_ZIPS_REMEMBERED, self._make)

    def file(self, path: str, now: int, faults: ArchiveFaults) -> bytes | None:
        """The bytes at that path, or None where the archive has no such file (yet)."""
        wanted = _parse(path, self._rules)
        if wanted is None or now < _closes(wanted) + PUBLISHED_AFTER:
            return None
        sound = self._zips[_Zip(wanted, faults.days_missing(wanted.symbol))]
        if sound is None:
            return None
        damage = faults.damaged.get(wanted.name)
        if path.endswith(_CHECKSUM):
            summed = sound[::-1] if damage is Damage.WRONG_CHECKSUM else sound
            return f"{sha256(summed).hexdigest()}  {wanted.name}\n".encode()
        return _broken(sound) if damage is Damage.BAD_BYTES else sound

    def _make(self, asked: _Zip) -> bytes | None:
        rows = _rows(asked, self._market)
        since = self._rules.micro_since
        if since is not None and _day(asked.request.start) >= since:
            rows = [_in_microseconds(row) for row in rows]
        return _zipped(asked.request, rows) if rows else None


def _in_microseconds(row: Row) -> Row:
    opened, closes = int(row[0]) * _MICRO, int(row[6]) * _MICRO + _MICRO - 1
    return [opened, *row[1:6], closes, *row[7:]]


def _parse(path: str, rules: ArchiveRules) -> _Request | None:
    found, intervals = _NAME.fullmatch(path), rules.intervals
    if found is None or found["folder"] != rules.folder:
        return None
    daily = found["span"] == "daily"
    interval = _MONTH if found["code"] == _MONTH_CODE else intervals.get(found["code"])
    if interval is None or found["code"] == _MONTH.code or (daily and _is_longer_than_a_day(interval)):
        return None
    if not daily and interval.milliseconds is not None and interval.milliseconds < MINUTE:
        return None  # 2.6 million rows: by the day alone
    try:
        first = datetime.strptime(found["when"], "%Y-%m-%d" if daily else "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return None
    start = to_ms(first)
    end = start + DAY - 1 if daily else _MONTH.close_time(start)
    return _Request(found["symbol"], interval, start, end, path.rsplit("/", 1)[1].removesuffix(_CHECKSUM))


def _closes(wanted: _Request) -> int:
    """When the period and the last candle that opens in it have both ended (a week may outlast its month)."""
    return max(wanted.end, wanted.interval.close_time(wanted.interval.floor(wanted.end))) + 1


def _is_longer_than_a_day(interval: Interval) -> bool:
    return interval.milliseconds is None or interval.milliseconds > DAY


def _rows(asked: _Zip, market: Market) -> list[Row]:
    symbol, interval, start, end, _ = asked.request
    try:
        candles = market.klines(symbol, interval, start, end)
    except ApiError:  # a symbol or an interval that this market does not have
        return []
    rows = rest_rows(market.specs[symbol], interval, candles)
    if not asked.missing or _is_longer_than_a_day(interval):
        return rows
    return [row for row in rows if _day(int(row[0])) not in asked.missing]


def _zipped(wanted: _Request, rows: list[Row]) -> bytes:
    lines = [",".join(map(str, row)) for row in rows]
    if _day(wanted.start) >= HEADERS_SINCE:
        lines.insert(0, ",".join(HEADER))
    made = io.BytesIO()
    entry = zipfile.ZipInfo(wanted.name.removesuffix(".zip") + ".csv", _ZIP_TIME)
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(entry, "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED, _ZIP_LEVEL)
    return made.getvalue()


def _broken(sound: bytes) -> bytes:
    """The same length, the middle third overwritten."""
    third = len(sound) // 3
    return sound[:third] + b"\xff" * third + sound[2 * third :]


def _day(time: int) -> date:
    return datetime.fromtimestamp(time / 1_000, UTC).date()
