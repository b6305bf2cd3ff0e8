import io
import json
import logging
from collections.abc import Iterator

import pytest

from pipeline import logs

log = logging.getLogger("pipeline.sample")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", "pipeline", "flows")}
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def written(style: str, level: str = "info", secrets: tuple[str, ...] = ()) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(style, level, secrets, stream)
    return stream


def fail(text: str) -> None:
    raise ValueError(text)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_person_reads_one_line_an_event_with_its_fields() -> None:
    stream = written("human")
    log.info("gap fetched\nfrom %s", "REST", extra={"symbol": "BTCUSDT", "candles": 12})
    (line,) = lines(stream)
    assert line.endswith(r"INFO    sample  gap fetched\nfrom REST  symbol=BTCUSDT  candles=12")
    assert line[8] == "Z"


def test_a_program_reads_one_object_an_event() -> None:
    stream = written("json")
    log.warning("feed is silent", extra={"symbol": "BTCUSDT", "age": 12.5})
    (line,) = lines(stream)
    event = json.loads(line)
    assert event.pop("time").endswith("Z")
    assert event == {
        "level": "warning",
        "logger": "pipeline.sample",
        "message": "feed is silent",
        "symbol": "BTCUSDT",
        "age": 12.5,
    }


def test_an_exception_stays_within_its_json_line() -> None:
    stream = written("json")
    try:
        fail("broken")
    except ValueError:
        log.exception("failed")
    (line,) = lines(stream)
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_levels_are_ours_alone() -> None:
    stream = written("json", level="debug")
    log.debug("ours")
    logging.getLogger("urllib3").info("theirs")
    logging.getLogger("urllib3").warning("their trouble")
    assert [json.loads(line)["message"] for line in lines(stream)] == ["ours", "their trouble"]


def test_configuring_again_replaces_and_does_not_repeat() -> None:
    first = written("json")
    second = written("json")
    log.info("once")
    assert (len(lines(first)), len(lines(second))) == (0, 1)


def test_a_faulty_call_is_reported_without_its_arguments() -> None:
    stream = written("human")
    (handler,) = (each for each in logging.getLogger().handlers if isinstance(each, logs.Collapsing))
    say(handler, "%d candles", "hunter2")
    assert lines(stream) == ["a log call of pipeline.sample is faulty: '%d candles'"]


PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKhunter2\n-----END PRIVATE KEY-----"


@pytest.mark.may_say_secrets
@pytest.mark.parametrize("style", ["human", "json"])
@pytest.mark.parametrize(
    "text",
    [
        "GET /fapi/v1/order?symbol=BTCUSDT&signature=hunter2&x=1",
        "GET /fapi/v3/account?timestamp=1&signature=hunter2",
        "headers {'X-MBX-APIKEY': 'hunter2', 'Accept': 'x'}",
        'headers {"X-MBX-APIKEY": "hunter2"}',
        "X-MBX-APIKEY: hunter2",
        "[(b'X-MBX-APIKEY', b'hunter2')]",
        "cannot reach mongodb://user:hunter2@db.example:27017/?tls=true",
        "cannot reach mongodb+srv://user:hunter2@db.example",
        "proxy http://user:hunter2@proxy.example:8080 refused",
        "wss://example/ws?listenKey=hunter2",
        f"the key is {PEM} as read",
        "the secret literal-Secret-17 was typed",
    ],
)
def test_secrets_are_scrubbed(style: str, text: str) -> None:
    stream = written(style, secrets=("literal-Secret-17",))
    try:
        fail(text)
    except ValueError:
        log.exception("said %s", text, extra={"url": text})
    assert "hunter2" not in stream.getvalue()
    assert "literal-Secret-17" not in stream.getvalue()
    assert "***" in stream.getvalue()
    if style == "json":
        assert all(json.loads(line) for line in lines(stream))


@pytest.mark.parametrize(
    "text",
    ["candles 09:15:00 to 10:15:00", "mongodb://127.0.0.1:27017/?replicaSet=rs0", "http://127.0.0.1:4200/api"],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert logs.Scrubber()(text) == text


class Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[str, int | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record.getMessage(), getattr(record, "repeated", None)))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def say(handler: logging.Handler, text: str, *values: object, level: int = logging.INFO) -> None:
    handler.handle(logging.LogRecord("pipeline.sample", level, __file__, 1, text, values, None))


def test_repeats_become_one_line_with_a_count() -> None:
    out, clock = Collected(), Clock()
    handler = logs.Collapsing(out, window=10, burst=2, clock=clock)
    for number in range(7):
        say(handler, "retry %d", number)
    assert out.records == [("retry 0", None), ("retry 1", None)]
    clock.now += 9
    say(handler, "something else")
    assert out.records[2:] == [("something else", None)]
    clock.now += 1
    say(handler, "retry %d", 7)
    assert out.records[3:] == [("retry 6", 5), ("retry 7", None)]


def test_a_different_level_or_text_is_no_repeat() -> None:
    out = Collected()
    handler = logs.Collapsing(out, burst=1, clock=Clock())
    say(handler, "silent")
    say(handler, "silent", level=logging.ERROR)
    say(handler, "silent again")
    assert [message for message, _ in out.records] == ["silent", "silent", "silent again"]


def test_a_count_is_not_lost_at_the_end() -> None:
    out = Collected()
    handler = logs.Collapsing(out, burst=1, clock=Clock())
    for _ in range(3):
        say(handler, "silent")
    handler.close()
    assert out.records == [("silent", None), ("silent", 2)]


def test_a_flood_of_different_messages_does_not_fill_the_memory() -> None:
    out = Collected()
    handler = logs.Collapsing(out, burst=1, clock=Clock())
    for number in range(2_500):
        say(handler, f"text {number}")
    assert len(out.records) == 2_500
    assert len(handler._kinds) <= 1_000
