"""The archive: the same candles as REST, in zips with checksums."""

import csv
import io
import zipfile
import zlib
from datetime import UTC, date, datetime
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import NON_ASCII, PENDING, YOUNG, universe
from pipeline.simulator.types import Klines
from pipeline.simulator.wire.archive import HEADER, Archive, ArchiveFaults, Damage
from pipeline.simulator.wire.format import rest_rows
from pipeline.timeline import DAY, HOUR, INTERVALS, Interval, to_ms

EPOCH = 1_767_225_600_000  # 2026-01-01
MARKET = SyntheticMarket(7, universe(20, EPOCH))
SOUND = ArchiveFaults()
ROOT = "/data/futures/um"
A_DAY = f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-12-03.zip"
A_MONTH = f"{ROOT}/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-11.zip"


def file(path: str, market: SyntheticMarket, now: int, faults: ArchiveFaults) -> bytes | None:
    """What an archive that remembers nothing yet has there."""
    return Archive(market).file(path, now, faults)


def rows_of(path: str, faults: ArchiveFaults = SOUND, now: int = EPOCH + 40 * DAY) -> list[list[str]]:
    body = file(path, MARKET, now, faults)
    assert body is not None
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        (name,) = archive.namelist()
        assert name == path.rsplit("/", 1)[1].replace(".zip", ".csv")
        return list(csv.reader(io.StringIO(archive.read(name).decode())))


@pytest.mark.parametrize(
    ("path", "interval", "first", "last", "has_header"),
    [
        (A_DAY, "1m", "2025-12-03", "2025-12-03", True),
        (A_MONTH, "1h", "2025-11-01", "2025-11-30", True),
        (f"{ROOT}/daily/klines/BTCUSDT/1d/BTCUSDT-1d-2021-12-31.zip", "1d", "2021-12-31", "2021-12-31", False),
        (f"{ROOT}/monthly/klines/BTCUSDT/1w/BTCUSDT-1w-2025-12.zip", "1w", "2025-12-01", "2025-12-31", True),
        (f"{ROOT}/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2025-12.zip", "1M", "2025-12-01", "2025-12-31", True),
        (f"{ROOT}/daily/klines/{NON_ASCII}/4h/{NON_ASCII}-4h-2025-12-03.zip", "4h", "2025-12-03", "2025-12-03", True),
    ],
)
def test_a_file_holds_what_rest_answers(path: str, interval: str, first: str, last: str, has_header: bool) -> None:
    start, end = (to_ms(datetime.fromisoformat(day).replace(tzinfo=UTC)) for day in (first, last))
    symbol = path.split("/")[6]
    candles = MARKET.klines(symbol, INTERVALS[interval], start, end + DAY - 1)
    expected = [[str(cell) for cell in row] for row in rest_rows(MARKET.specs[symbol], INTERVALS[interval], candles)]
    rows = rows_of(path)
    assert rows[0] == list(HEADER) if has_header else rows[0][0].isdigit()
    assert rows[has_header:] == expected
    assert expected


@settings(max_examples=15, deadline=None)
@given(st.dates(date(2025, 9, 24), date(2025, 12, 30)), st.sampled_from(["1m", "15m", "1d"]))
def test_the_checksum_is_of_the_file_and_two_markets_make_the_same_bytes(day: date, code: str) -> None:
    name = f"{YOUNG}-{code}-{day}.zip"
    path = f"{ROOT}/daily/klines/{YOUNG}/{code}/{name}"
    body = file(path, MARKET, EPOCH + DAY, SOUND)
    assert body is not None
    assert body == file(path, SyntheticMarket(7, MARKET.specs), EPOCH + 9 * DAY, SOUND)
    assert file(path + ".CHECKSUM", MARKET, EPOCH + DAY, SOUND) == f"{sha256(body).hexdigest()}  {name}\n".encode()


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/daily/klines/NOPEUSDT/1m/NOPEUSDT-1m-2025-12-03.zip",
        f"{ROOT}/daily/klines/{PENDING}/1m/{PENDING}-1m-2025-12-03.zip",
        f"{ROOT}/daily/klines/{YOUNG}/1m/{YOUNG}-1m-2025-01-03.zip",
        f"{ROOT}/daily/klines/BTCUSDT/1m/ETHUSDT-1m-2025-12-03.zip",
        f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-5m-2025-12-03.zip",
        f"{ROOT}/daily/klines/BTCUSDT/1s/BTCUSDT-1s-2025-12-03.zip",
        f"{ROOT}/daily/klines/BTCUSDT/3d/BTCUSDT-3d-2025-12-03.zip",
        f"{ROOT}/daily/klines/BTCUSDT/1mo/BTCUSDT-1mo-2025-12-03.zip",
        f"{ROOT}/monthly/klines/BTCUSDT/1M/BTCUSDT-1M-2025-12.zip",
        f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-13-03.zip",
        f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-12.zip",
        f"{ROOT}/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2025-12-03.zip",
        f"{ROOT}/daily/trades/BTCUSDT/1m/BTCUSDT-1m-2025-12-03.zip",
        A_DAY + ".SHA",
    ],
)
def test_there_is_no_such_file(path: str) -> None:
    assert file(path, MARKET, EPOCH + 40 * DAY, SOUND) is None
    assert file(path + ".CHECKSUM", MARKET, EPOCH + 40 * DAY, SOUND) is None


@pytest.mark.parametrize(
    ("path", "published"),
    [
        (f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-12-31.zip", EPOCH + 6 * HOUR),
        (f"{ROOT}/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-12.zip", EPOCH + 6 * HOUR),
        (f"{ROOT}/monthly/klines/BTCUSDT/1w/BTCUSDT-1w-2025-12.zip", EPOCH + 4 * DAY + 6 * HOUR),  # closes on Sunday
    ],
)
def test_a_file_appears_when_all_its_candles_are_over(path: str, published: int) -> None:
    for name in (path, path + ".CHECKSUM"):
        assert file(name, MARKET, published - 1, SOUND) is None
        assert file(name, MARKET, published, SOUND) is not None


def test_a_missing_day_is_absent_from_both_kinds_of_file() -> None:
    faults = ArchiveFaults(missing=frozenset({("BTCUSDT", date(2025, 11, 16)), ("BTCUSDT", date(2025, 12, 3))}))
    assert file(A_DAY, MARKET, EPOCH, faults) is None
    assert len(rows_of(A_MONTH, faults)) == len(rows_of(A_MONTH)) - 24
    other = A_DAY.replace("BTC", "ETH")
    assert file(other, MARKET, EPOCH, faults) == file(other, MARKET, EPOCH, SOUND)


def test_a_damaged_zip_cannot_be_read_and_its_checksum_tells() -> None:
    faults = ArchiveFaults(damaged={A_DAY.rsplit("/", 1)[1]: Damage.BAD_BYTES})
    sound, broken = (file(A_DAY, MARKET, EPOCH, each) for each in (SOUND, faults))
    assert broken is not None
    assert broken != sound
    with pytest.raises((zipfile.BadZipFile, zlib.error)):
        rows_of(A_DAY, faults)
    checksum = A_DAY + ".CHECKSUM"
    assert file(checksum, MARKET, EPOCH, faults) == file(checksum, MARKET, EPOCH, SOUND)


def test_a_wrong_checksum_stands_beside_a_sound_zip() -> None:
    faults = ArchiveFaults(damaged={A_DAY.rsplit("/", 1)[1]: Damage.WRONG_CHECKSUM})
    assert file(A_DAY, MARKET, EPOCH, faults) == file(A_DAY, MARKET, EPOCH, SOUND)
    assert file(A_DAY + ".CHECKSUM", MARKET, EPOCH, faults) != file(A_DAY + ".CHECKSUM", MARKET, EPOCH, SOUND)


class Counted(SyntheticMarket):
    """Counts how often candles are asked for."""

    asked = 0

    def klines(self, symbol: str, interval: Interval, start: int, end: int) -> Klines:
        self.asked += 1
        return super().klines(symbol, interval, start, end)


def test_a_file_and_its_checksum_are_made_once_and_faults_are_not_remembered() -> None:
    market = Counted(7, MARKET.specs)
    archive = Archive(market)
    sound = archive.file(A_DAY, EPOCH, SOUND)
    checksum = archive.file(A_DAY + ".CHECKSUM", EPOCH, SOUND)
    assert market.asked == 1
    hole = ArchiveFaults(missing=frozenset({("BTCUSDT", date(2025, 12, 3))}))
    damaged = ArchiveFaults(damaged={A_DAY.rsplit("/", 1)[1]: Damage.BAD_BYTES})
    assert archive.file(A_DAY, EPOCH, hole) is None
    assert archive.file(A_DAY, EPOCH, damaged) != sound
    assert archive.file(A_DAY, EPOCH, SOUND) == sound
    assert archive.file(A_DAY + ".CHECKSUM", EPOCH, SOUND) == checksum
    assert archive.file(A_DAY, EPOCH - 40 * DAY, SOUND) is None, "remembered, and not yet published"
