"""The exchange's archive of past candles: zips that cost no request weight, by month and by day.

Everything stays in memory until its checksum, its shape and every row are verified; nothing half-read is ever handed
on. The archive has holes of its own, so a good file may still miss candles: that is for the caller to see.
"""

import hashlib
import io
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final
from urllib.parse import quote

import numpy as np
import polars as pl

from pipeline.exchange.answers import Call, Raw, failure
from pipeline.exchange.clock import ServerClock
from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import BadAnswerError, ExchangeError, StoppedError
from pipeline.exchange.klines import (
    DECIMAL_FIELDS,
    FIELDS,
    INTEGER_FIELDS,
    BadRowError,
    Floats,
    Integers,
    empty,
    in_coins,
    straight,
    table,
)
from pipeline.exchange.retries import delays, worth_retrying
from pipeline.exchange.wire import Wire
from pipeline.timeline import DAY, MINUTE, Interval, Window, to_datetime, to_ms

CSV_CAP: Final = 64 * 1024 * 1024
_MICROSECONDS_FROM: Final = 100_000_000_000_000  # as milliseconds: the year 5138


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One zip: a symbol, an interval, and the month or day whose candles it holds."""

    symbol: str
    interval: Interval
    first: date
    last: date

    @property
    def window(self) -> Window:
        """The opening times it covers."""
        end = _midnight(self.last) + DAY - 1
        return Window(self.interval.ceil(_midnight(self.first)), self.interval.floor(end))

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        stamp = self.first.isoformat() if self.first == self.last else f"{self.first:%Y-%m}"
        return f"{self.symbol}-{self.interval}-{stamp}"

    def path(self, folder: str, kind: str = "klines") -> str:
        """Where it lies below the archive's address; the market's candles are in that folder."""
        period = "daily" if self.first == self.last else "monthly"
        return quote(f"{folder}/{period}/{kind}/{self.symbol}/{self.interval}/{self.name}.zip")

    def days(self) -> list["ArchiveFile"]:
        """The daily files of a monthly one, for when it is missing."""
        if self.first == self.last:
            return []
        count = (self.last - self.first).days + 1
        each = (self.first + timedelta(days=number) for number in range(count))
        return [ArchiveFile(self.symbol, self.interval, day, day) for day in each]


def files(symbol: str, interval: Interval, window: Window, now: int) -> Iterator[ArchiveFile]:
    """The files that lie wholly before the current day and touch `window`: a month where the month is over and more
    than one of its days is wanted, else days, and days only of candles of a second: a month of those is too large to
    be read at once. None for candles longer than a day: their last one may have been
    published while it was open, and REST gives years of them in one answer."""
    if interval.milliseconds is None or interval.milliseconds > DAY:
        return
    today = to_datetime(now).date()
    day = to_datetime(window.start).date()
    last = min(to_datetime(window.end).date(), today - timedelta(days=1))
    while day <= last:
        month = ArchiveFile(symbol, interval, day.replace(day=1), _last_of_month(day))
        wanted_days = (min(month.last, last) - day).days + 1
        if month.last < today and wanted_days > 1 and interval.milliseconds >= MINUTE:
            yield month
        else:
            yield from (one for one in month.days() if day <= one.first <= last)
        day = month.last + timedelta(days=1)


class Archive:
    """Downloads, a bounded number at once. Thread-safe."""

    def __init__(
        self,
        environment: Environment,
        *,
        clock: ServerClock | None = None,
        stop: threading.Event | None = None,
        random_: Random | None = None,
        downloads: int = 4,
    ) -> None:
        if environment.archive_url is None:
            raise ValueError(f"{environment.name} has no archive")
        self._url = environment.archive_url
        self._product = environment.product
        self._retries = environment.retries
        self._clock = clock or ServerClock()
        self._stop = stop or threading.Event()
        self._random = random_ or Random()
        self._kind = "klines"
        self._slots = threading.BoundedSemaphore(downloads)
        self._wire = Wire(environment, downloads)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def of_marks(self) -> "Archive":
        """The same, of the mark price; it shares connections and bounds with this one."""
        found = copy(self)
        found._kind = "markPriceKlines"
        return found

    def candles(self, file: ArchiveFile, size: Decimal = Decimal(1)) -> pl.DataFrame | None:
        """The candles of that file, all closed; None if the archive has no such file. `size`: of a contract, where the
        market counts those."""
        path = file.path(self._product.archive, self._kind)
        with self._slots:
            zipped = self._get(path)
            if zipped is None:
                return None
            checksum = self._get(f"{path}.CHECKSUM")
        if checksum is None:
            raise BadAnswerError(f"{file.name}: the archive has no checksum for it; the file is not used")
        check(file, zipped, checksum)
        table = read(file, unzip(file, zipped), self._clock.now(), crooked=self._product.klines.crooked)
        return in_coins(table, self._product.arithmetic, size)

    def _get(self, path: str) -> bytes | None:
        call = Call("GET", path)
        waits = delays(self._random)
        for attempts_left in range(self._retries, -1, -1):
            try:
                return self._ask(call)
            except ExchangeError as error:
                if attempts_left == 0 or not worth_retrying(error, call):
                    raise
                if self._stop.wait(next(waits)):
                    raise StoppedError("told to stop between downloads") from error
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, call: Call) -> bytes | None:
        if self._stop.is_set():
            raise StoppedError("told to stop before a download")
        raw: Raw = self._wire.send(call, self._url + call.path, {})
        if raw.status == 404:
            return None
        if raw.status != 200:
            raise failure(call, raw, self._clock.now())
        return raw.body


def check(file: ArchiveFile, zipped: bytes, checksum: bytes) -> None:
    """Refuse a file whose SHA-256 is not the published one."""
    words = checksum.decode(errors="replace").split()
    actual = hashlib.sha256(zipped).hexdigest()
    if not words or words[0].lower() != actual:
        raise BadAnswerError(
            f"{file.name}.zip is not what its checksum says ({words[0] if words else 'empty'!r:.70}, not {actual}); "
            "it is not used"
        )


def unzip(file: ArchiveFile, zipped: bytes) -> bytes:
    """The one member with the expected name, at most `CSV_CAP` bytes of it; anything else is refused."""
    expected = f"{file.name}.csv"
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as container:
            names = container.namelist()
            if names != [expected]:
                raise BadAnswerError(f"{file.name}.zip should hold {expected!r} alone, but holds {names[:3]!r}")
            with container.open(expected) as member:
                content = member.read(CSV_CAP + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise BadAnswerError(f"{file.name}.zip cannot be unpacked ({error}); it is not used") from None
    if len(content) > CSV_CAP:
        raise BadAnswerError(f"{file.name}.zip unpacks to more than {CSV_CAP // 2**20} MiB; it is not used")
    return content


def read(file: ArchiveFile, content: bytes, now: int, *, crooked: bool = False) -> pl.DataFrame:
    """The rows of a CSV of klines, with or without a header line, in milliseconds or microseconds."""
    try:
        rows = _rows(content)
        if rows.is_empty():
            return empty()
        numbers = rows.get_columns()
        integers = {field: _integers(numbers[field]) for field in INTEGER_FIELDS}
        decimals = {field: _decimals(numbers[field]) for field in DECIMAL_FIELDS}
        integers = _in_milliseconds(integers)
        if crooked:
            integers, decimals = straight(integers, decimals, file.name, file.interval)
        return table(integers, decimals, file.interval, file.window, now)
    except BadRowError as error:
        raise BadAnswerError(f"{file.name}.zip: {error}; nothing of it is used") from None


def _rows(content: bytes) -> pl.DataFrame:
    """All cells as text. A first line that does not begin with a digit is the header of the newer files."""
    if not content.strip():
        return pl.DataFrame()
    try:
        rows = pl.read_csv(content, has_header=not content[:1].isdigit(), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise BadRowError(0, "file", f"not a table ({str(error).splitlines()[0]})") from None
    if rows.width != len(FIELDS):
        raise BadRowError(0, "file", f"{len(FIELDS)} columns were expected, not {rows.width}")
    return rows


def _integers(column: pl.Series) -> Integers:
    return np.asarray(_numbers(column, pl.Int64), np.int64)


def _decimals(column: pl.Series) -> Floats:
    return np.asarray(_numbers(column, pl.Float64), np.float64)


def _numbers(column: pl.Series, kind: type[pl.Int64 | pl.Float64]) -> pl.Series:
    cast = column.cast(kind, strict=False)
    bad = cast.is_null() | ~cast.cast(pl.Float64).is_finite()
    if bad.any():
        row = int(bad.arg_true()[0])
        raise BadRowError(row, column.name, f"{column[row]!r:.40} is not a number")
    return cast


def _in_milliseconds(integers: Mapping[int, Integers]) -> dict[int, Integers]:
    opened, closes, trades = INTEGER_FIELDS
    if integers[opened][0] < _MICROSECONDS_FROM:
        return dict(integers)
    return {opened: integers[opened] // 1_000, closes: integers[closes] // 1_000, trades: integers[trades]}


def _midnight(day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _last_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
