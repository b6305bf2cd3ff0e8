"""The archive: which files are asked for, and every way a file can be wrong."""

import hashlib
import io
import itertools
import random
import threading
import zipfile
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange import archive as archive_module
from pipeline.exchange.archive import Archive, ArchiveFile, files, read, unzip
from pipeline.exchange.clock import ServerClock
from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import BadAnswerError, BlockedError, StoppedError, UnknownOutcomeError
from pipeline.timeline import DAY, MINUTE, Interval, Window, interval

M1, H1, D1 = interval("1m"), interval("1h"), interval("1d")
NOVEMBER_20 = 1_763_640_000_000  # 2025-11-20T12:00Z
DAY_FILE = ArchiveFile("BTCUSDT", M1, date(2025, 11, 3), date(2025, 11, 3))
START = 1_762_128_000_000  # 2025-11-03
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def csv(count: int = 3, *, header: bool = True, scale: int = 1, step: Interval = M1) -> bytes:
    lines = [HEADER] if header else []
    for number in range(count):
        opened = START + number * (step.milliseconds or 0)
        closes = step.after(opened) * scale - 1
        lines.append(f"{opened * scale},100.1,101.5,99.9,100.2,12.5,{closes},1234.5,7,6.5,650.25,0")
    return ("\n".join(lines) + "\n").encode()


def zipped(content: bytes, name: str = "BTCUSDT-1m-2025-11-03.csv", **more: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as container:
        container.writestr(name, content)
        for other, text in more.items():
            container.writestr(other, text)
    return made.getvalue()


def checksum(content: bytes) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  BTCUSDT-1m-2025-11-03.zip\n".encode()


@pytest.fixture
def archive(place: Environment) -> Archive:
    clock = ServerClock(lambda: NOVEMBER_20)
    made = Archive(place, clock=clock, random_=random.Random(1), downloads=2)
    yield made
    made.close()


def serve(exchange: Any, reply: Any, content: bytes, its_checksum: bytes | None = None) -> None:
    def answer(seen: Any) -> Any:
        if seen.path.endswith(".CHECKSUM"):
            return reply(its_checksum if its_checksum is not None else checksum(content))
        return reply(content)

    exchange.otherwise = answer


def names(window: Window, step: Interval = M1) -> list[str]:
    return [file.name for file in files("BTCUSDT", step, window, NOVEMBER_20)]


def at(text: str) -> int:
    return archive_module._midnight(date.fromisoformat(text))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2025-11-17", "2025-11-20", ["2025-11-17", "2025-11-18", "2025-11-19"]),
        ("2025-09-30", "2025-11-01", ["2025-09-30", "2025-10", "2025-11-01"]),
        ("2025-09-29", "2025-10-01", ["2025-09", "2025-10-01"]),
        ("2025-11-20", "2025-11-20", []),
        ("2024-02-28", "2024-02-29", ["2024-02"]),
    ],
)
def test_months_that_are_over_and_days_before_today(first: str, last: str, expected: list[str]) -> None:
    assert names(Window(at(first), at(last) + DAY - MINUTE)) == [f"BTCUSDT-1m-{stamp}" for stamp in expected]


def test_candles_of_a_second_are_read_a_day_at_a_time() -> None:
    found = names(Window(at("2025-09-29"), at("2025-10-02")), interval("1s"))
    assert found == [f"BTCUSDT-1s-2025-{day}" for day in ("09-29", "09-30", "10-01", "10-02")]


@pytest.mark.parametrize("code", ["3d", "1w", "1M"])
def test_candles_longer_than_a_day_are_left_to_rest(code: str) -> None:
    assert names(Window(at("2025-01-01"), at("2025-11-01")), interval(code)) == []


@given(start=st.integers(0, 700), length=st.integers(0, 400))
def test_the_files_cover_every_past_day_once_and_reach_no_further_than_its_month(start: int, length: int) -> None:
    window = Window(at("2024-01-01") + start * DAY, at("2024-01-01") + (start + length) * DAY + DAY - MINUTE)
    chosen = list(files("BTCUSDT", M1, window, NOVEMBER_20))
    covered = [file.window for file in chosen]
    assert all(later.start > sooner.end for sooner, later in itertools.pairwise(covered))
    wanted = [day for day in range(window.start, window.end, DAY) if day + DAY <= at("2025-11-20")]
    assert all(any(one.start <= day <= one.end for one in covered) for day in wanted)
    assert all(file.last < date(2025, 11, 20) for file in chosen)


def test_the_path_of_a_file_is_percent_encoded_and_a_month_knows_its_days() -> None:
    month = ArchiveFile("币USDT", H1, date(2024, 2, 1), date(2024, 2, 29))
    folder = "/data/futures/um"
    assert month.path(folder) == "/data/futures/um/monthly/klines/%E5%B8%81USDT/1h/%E5%B8%81USDT-1h-2024-02.zip"
    assert [day.name for day in month.days()][-1] == "币USDT-1h-2024-02-29"
    assert len(month.days()) == 29
    assert DAY_FILE.path(folder) == "/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-11-03.zip"
    assert DAY_FILE.window == Window(START, START + DAY - MINUTE)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("scale", [1, 1000], ids=["milliseconds", "microseconds"])
def test_a_good_file_becomes_closed_candles(
    archive: Archive, exchange: Any, reply: Any, header: bool, scale: int
) -> None:
    serve(exchange, reply, zipped(csv(header=header, scale=scale)))
    table = archive.candles(DAY_FILE)
    assert table is not None
    assert table["t"].to_list() == [START, START + MINUTE, START + 2 * MINUTE]
    assert table["te"].to_list() == [START + MINUTE - 1, START + 2 * MINUTE - 1, START + 3 * MINUTE - 1]
    assert table["closed"].all()
    assert table.row(0, named=True)["taker_buy_quote"] == 650.25


def test_a_missing_file_is_none(archive: Archive, exchange: Any, reply: Any) -> None:
    exchange.otherwise = lambda _: reply(status=404)
    assert archive.candles(DAY_FILE) is None


def test_a_file_without_a_checksum_is_not_used(archive: Archive, exchange: Any, reply: Any) -> None:
    exchange.script = [reply(zipped(csv())), reply(status=404)]
    with pytest.raises(BadAnswerError, match="no checksum"):
        archive.candles(DAY_FILE)


@pytest.mark.parametrize("wrong", [b"", b"0" * 64 + b"  x.zip", b"<html>"])
def test_a_file_that_is_not_what_its_checksum_says_is_not_used(
    archive: Archive, exchange: Any, reply: Any, wrong: bytes
) -> None:
    serve(exchange, reply, zipped(csv()), wrong)
    with pytest.raises(BadAnswerError, match="checksum"):
        archive.candles(DAY_FILE)


GOOD = zipped(csv(1000))
BAD_ZIPS = [
    (GOOD[: len(GOOD) // 2], "cannot be unpacked"),
    (b"", "cannot be unpacked"),
    (b"PK\x03\x04 nonsense", "cannot be unpacked"),
    (GOOD[:200] + bytes(byte ^ 0xFF for byte in GOOD[200:230]) + GOOD[230:], "cannot be unpacked"),
    (zipped(csv(), "../../etc/passwd"), r"should hold 'BTCUSDT-1m-2025-11-03.csv' alone.*etc/passwd"),
    (zipped(csv(), more=b"x"), "alone, but holds"),
    (zipped(csv(), "ETHUSDT-1m-2025-11-03.csv"), "alone, but holds"),
]


@pytest.mark.parametrize(("content", "said"), BAD_ZIPS, ids=range(len(BAD_ZIPS)))
def test_a_zip_that_is_not_one_good_member_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadAnswerError, match=said):
        unzip(DAY_FILE, content)


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "CSV_CAP", 1000)
    with pytest.raises(BadAnswerError, match="unpacks to more"):
        unzip(DAY_FILE, zipped(b"0" * 1_000_000))


def line(**cells: object) -> bytes:
    values = dict(zip(HEADER.split(","), csv(1, header=False).decode().strip().split(","), strict=True))
    return (",".join(str(value) for value in {**values, **cells}.values()) + "\n").encode()


BAD_CSV = [
    (b"<html>nothing</html>\n<p>x\n", "12 columns were expected"),
    (csv(2) + b"1,2,3,4,5,6,7,8,9,10,11,12,13,14\n", "not a table"),
    (csv(2) + b"1762128120000,100.1\n", "not a number"),
    (line(high="abc"), "'abc' is not a number"),
    (line(high="nan"), "'nan' is not a number"),
    (line(high="inf"), "'inf' is not a number"),
    (line(high=1), "high: 1.0 is below the low"),
    (line(volume=-1), "volume: -1.0 is negative"),
    (line() + line(), "is there twice"),
    (line(open_time=START + 1), "is not when a candle of 1m opens"),
    (line(close_time=START), "is not when the candle of this row closes"),
    (csv(1441), "was not asked for"),
    (csv(3, step=interval("3m")), "is not when the candle of this row closes"),
]


@pytest.mark.parametrize(("content", "said"), BAD_CSV, ids=[said for _, said in BAD_CSV])
def test_a_bad_row_spoils_the_file_and_is_named(content: bytes, said: str) -> None:
    with pytest.raises(BadAnswerError, match=rf"BTCUSDT-1m-2025-11-03.*{said}"):
        read(DAY_FILE, content, NOVEMBER_20)


@pytest.mark.parametrize("content", [b"", b"\n", HEADER.encode() + b"\n"])
def test_a_file_without_rows_is_no_candles(content: bytes) -> None:
    assert read(DAY_FILE, content, NOVEMBER_20).is_empty()


def test_a_download_that_breaks_is_tried_again(archive: Archive, exchange: Any, reply: Any) -> None:
    content = zipped(csv())
    exchange.script = [
        reply(content, announce=len(content) + 10),
        reply(hang_up=True),
        reply(content),
        reply(status=502),
    ]
    serve(exchange, reply, content)
    table = archive.candles(DAY_FILE)
    assert table is not None
    assert table.height == 3


@pytest.mark.parametrize(("status", "kind"), [(502, UnknownOutcomeError), (403, BlockedError)])
def test_an_archive_that_does_not_work_says_so(
    archive: Archive, exchange: Any, reply: Any, status: int, kind: type[Exception]
) -> None:
    exchange.otherwise = lambda _: reply(status=status)
    with pytest.raises(kind, match=str(status)):
        archive.candles(DAY_FILE)


def test_no_more_downloads_run_at_once_than_allowed(archive: Archive, exchange: Any, reply: Any) -> None:
    content, busy, most = zipped(csv()), set(), []
    full = threading.Barrier(2, timeout=10)

    def answer(seen: Any) -> Any:
        if seen.path.endswith(".CHECKSUM"):
            return reply(checksum(content))
        busy.add(threading.get_ident())
        full.wait()
        most.append(len(busy))
        full.wait()
        busy.discard(threading.get_ident())
        return reply(content)

    exchange.otherwise = answer
    threads = [threading.Thread(target=archive.candles, args=(DAY_FILE,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert max(most) == 2
    assert len(most) == 6


def test_told_to_stop_nothing_more_is_downloaded(place: Environment, exchange: Any) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        Archive(place, stop=stop).candles(DAY_FILE)
    assert exchange.seen == []
