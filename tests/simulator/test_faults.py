"""Everything that can be made to go wrong: the rules first, then each fault on a running exchange."""

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import requests
import websockets

from pipeline.errors import UsageError
from pipeline.simulator.faults.rules import Facts, Fault, FaultPanel, Kind, Stage, read_fault
from pipeline.simulator.handle import Simulator
from pipeline.timeline import DAY, MINUTE

ORDER = "/fapi/v1/order"
KLINES = "/fapi/v1/klines"
BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
JANUARY = 1_767_225_600_000  # 2026-01-01
TIMEOUT = 20

Desk = Any


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{", "no JSON"),
        ("{}", "missing required field `kind`"),
        ('{"kind":"earthquake"}', "Invalid enum value 'earthquake'"),
        ('{"kind":"lose","streem":"x"}', "unknown field `streem`"),
        ('{"kind":"lose","next":0}', "`int` >= 1"),
        ('{"kind":"lose","probability":1.5}', "`float` <= 1"),
        ('{"kind":"lose","probability":"often"}', "Expected `float`"),
        ('{"kind":"lose","path":"/x"}', "'lose' cannot match 'path'"),
        ('{"kind":"slow","stream":"x"}', "'slow' cannot match 'stream'"),
        ('{"kind":"lose","milliseconds":5}', "cannot match 'milliseconds'"),
        ('{"kind":"slow"}', "needs 'milliseconds'"),
        ('{"kind":"delay"}', "needs 'milliseconds'"),
        ('{"kind":"hole","start":1}', "needs 'start' and 'end'"),
        ('{"kind":"archive_hole"}', "needs 'start' and 'end'"),
        ('{"kind":"answer_code"}', "needs 'code'"),
        ('{"kind":"answer_code_after"}', "needs 'code'"),
        ('{"kind":"maintenance","code":-1}', "cannot match 'code'"),
    ],
)
def test_rules_that_cannot_be(rule: str, words: str) -> None:
    with pytest.raises(UsageError) as refusal:
        read_fault(rule.encode())
    assert words in str(refusal.value)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_survives_json(kind: Kind) -> None:
    timed = {"milliseconds": 5} if kind in (Kind.SLOW, Kind.DELAY) else {}
    in_time = {"start": 1, "end": 2} if kind in (Kind.HOLE, Kind.MALFORMED_ROWS, Kind.ARCHIVE_HOLE) else {}
    coded = {"code": -2019} if kind in (Kind.ANSWER_CODE, Kind.ANSWER_CODE_AFTER) else {}
    fault = Fault(kind=kind, next=3, probability=0.5, seed=7, **timed, **in_time, **coded)
    assert read_fault(msgspec.json.encode(fault)) == fault


@pytest.mark.parametrize(
    ("rule", "facts", "strikes"),
    [
        ({"kind": "slow", "milliseconds": 1}, {"method": "GET", "path": KLINES}, True),
        ({"kind": "maintenance", "method": "POST"}, {"method": "GET", "path": ORDER}, False),
        ({"kind": "maintenance", "path": "*klines"}, {"method": "GET", "path": KLINES}, True),
        ({"kind": "maintenance", "symbol": "BTC*"}, {"path": KLINES, "symbol": "ETHUSDT"}, False),
        ({"kind": "maintenance", "symbol": "BTC*"}, {"path": KLINES}, False),
        ({"kind": "lose", "stream": "*@kline_*"}, {"stream": "btcusdt@kline_1m"}, True),
        ({"kind": "lose", "closing": True}, {"stream": "btcusdt@kline_1m"}, False),
        ({"kind": "lose", "closing": False}, {"stream": "btcusdt@kline_1m", "closing": True}, False),
    ],
)
def test_what_a_rule_matches(rule: dict[str, Any], facts: dict[str, Any], strikes: bool) -> None:
    panel = FaultPanel()
    fault = msgspec.convert(rule, Fault)
    panel.add(fault)
    assert (panel.strike(fault.stage, Facts(**facts)) is not None) is strikes


def test_the_next_two_and_no_more() -> None:
    panel = FaultPanel()
    panel.add(Fault(kind=Kind.LOSE, next=2))
    assert [panel.strike(Stage.FRAME, Facts()) is not None for _ in range(4)] == [True, True, False, False]
    assert not panel.has(Stage.FRAME)
    assert panel.active()[0].struck == 2


def test_probability_is_seeded() -> None:
    def run(seed: int) -> list[bool]:
        panel = FaultPanel()
        panel.add(Fault(kind=Kind.LOSE, probability=0.3, seed=seed))
        return [panel.strike(Stage.FRAME, Facts()) is not None for _ in range(1_000)]

    assert run(1) == run(1) != run(2)
    assert 200 < sum(run(1)) < 400


def test_a_rule_is_taken_out_by_its_number() -> None:
    panel = FaultPanel()
    number = panel.add(Fault(kind=Kind.LOSE))
    panel.remove(number)
    assert not panel.active()
    with pytest.raises(UsageError, match=f"no fault number {number}"):
        panel.remove(number)


def position(desk: Desk) -> float:
    return sum(
        float(each["positionAmt"]) for each in desk.signed("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT").body
    )


@pytest.mark.parametrize(
    ("kind", "status", "code", "words", "executed"),
    [
        ("unknown_before", 503, -1000, "Unknown error", False),
        ("unknown_after", 503, -1000, "Unknown error", True),
        ("timeout_before", 408, -1007, "execution status unknown", False),
        ("timeout_after", 408, -1007, "execution status unknown", True),
        ("maintenance", 503, 0, "Service Unavailable.", False),
        ("overloaded", 503, -1008, "overloaded", False),
        ("rate_limited", 429, -1003, "Too many requests", False),
    ],
)
def test_an_order_and_what_is_said_of_it(
    desk: Desk, simulator: Simulator, kind: str, status: int, code: int, words: str, executed: bool
) -> None:
    before = position(desk)
    number = simulator.faults.add(kind, method="POST", path=ORDER, next=1)
    reply = desk.signed("POST", ORDER, **BUY)
    assert (reply.status, reply.code) == (status, code)
    assert words in reply.body["msg"]
    assert position(desk) == pytest.approx(before + 0.01 * executed)
    attempt = simulator.ledger()["attempts"][-1]
    assert (attempt["path"], attempt["executed"], attempt["fault"]) == (ORDER, executed, kind)
    assert simulator.faults.struck(number) == 1
    assert desk.signed("POST", ORDER, **BUY).status == 200


@pytest.mark.parametrize(("kind", "executed"), [("answer_code", False), ("answer_code_after", True)])
def test_a_code_is_answered_whether_or_not_the_order_was_executed(
    desk: Desk, simulator: Simulator, kind: str, executed: bool
) -> None:
    before = position(desk)
    simulator.faults.add(kind, code=-1000, method="POST", path=ORDER, next=1)
    reply = desk.signed("POST", ORDER, **BUY)
    assert (reply.status, reply.code) == (400, -1000)
    assert position(desk) == pytest.approx(before + 0.01 * executed)


@pytest.mark.parametrize(("kind", "executed"), [("reset_before", False), ("reset_after", True)])
def test_a_connection_that_is_reset(desk: Desk, simulator: Simulator, kind: str, executed: bool) -> None:
    before = position(desk)
    simulator.faults.add(kind, method="POST", next=1)
    with pytest.raises(requests.ConnectionError):
        desk.signed("POST", ORDER, **BUY)
    assert position(desk) == pytest.approx(before + 0.01 * executed)


@pytest.mark.parametrize(("kind", "executed"), [("hang_before", False), ("hang_after", True)])
def test_an_answer_that_never_comes(desk: Desk, simulator: Simulator, kind: str, executed: bool) -> None:
    before = position(desk)
    simulator.faults.add(kind, path=ORDER, method="POST", next=1)
    with pytest.raises(requests.ReadTimeout):
        desk.signed("POST", ORDER, **BUY, answer_within=0.5)
    assert position(desk) == pytest.approx(before + 0.01 * executed)


def test_what_is_open_is_forgotten_for_a_moment_and_stands_all_the_same(desk: Desk, simulator: Simulator) -> None:
    assert desk.signed("POST", ORDER, **BUY).status == 200
    stop = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET"}
    stop |= {"triggerPrice": "1000", "closePosition": "true"}
    placed = desk.signed("POST", "/fapi/v1/algoOrder", **stop)
    assert placed.status == 200, placed
    simulator.faults.add("forget", method="GET", path="/fapi/v1/*lgo*", next=2)
    assert desk.signed("GET", "/fapi/v1/openAlgoOrders").body == []
    assert desk.signed("GET", "/fapi/v1/algoOrder", algoId=placed.body["algoId"]).code == -2013
    assert desk.signed("POST", "/fapi/v1/algoOrder", **stop).code == -4130
    assert desk.signed("GET", "/fapi/v1/algoOrder", algoId=placed.body["algoId"]).body["algoStatus"] == "NEW"
    assert desk.signed("DELETE", "/fapi/v1/algoOrder", algoId=placed.body["algoId"]).status == 200


def test_a_slow_answer(desk: Desk, simulator: Simulator) -> None:
    simulator.faults.add("slow", path="/fapi/v1/time", milliseconds=60_000, next=1)
    with pytest.raises(requests.ReadTimeout):
        desk.send("GET", "/fapi/v1/time", "", timeout=0.2)
    simulator.faults.add("slow", path="/fapi/v1/time", milliseconds=10, next=1)
    assert desk.public("/fapi/v1/time").status == 200


def test_a_truncated_and_an_invalid_body(desk: Desk, simulator: Simulator) -> None:
    simulator.faults.add("truncated", path=KLINES, next=1)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        desk.public(KLINES, symbol="BTCUSDT", interval="1m")
    simulator.faults.add("invalid_json", path=KLINES, next=1)
    with pytest.raises(json.JSONDecodeError):
        desk.public(KLINES, symbol="BTCUSDT", interval="1m")


def test_a_ban_lasts(desk: Desk, simulator: Simulator) -> None:
    simulator.faults.add("banned", path="/fapi/v1/ping", next=1)
    assert [desk.public("/fapi/v1/ping").status for _ in range(2)] == [418, 418]
    simulator.forgive()
    assert desk.public("/fapi/v1/ping").status == 200


def test_a_hole_and_malformed_rows(desk: Desk, simulator: Simulator) -> None:
    asked = {"symbol": "BTCUSDT", "interval": "1m", "startTime": JANUARY, "limit": 6}
    whole = desk.public(KLINES, **asked).body
    window = {"symbol": "BTCUSDT", "start": JANUARY + MINUTE, "end": JANUARY + 3 * MINUTE}
    simulator.faults.add("hole", **window)
    assert desk.public(KLINES, **asked).body == [whole[0], *whole[4:]]
    assert simulator.truth_klines("BTCUSDT", "1m", JANUARY, JANUARY + 5 * MINUTE) == whole
    simulator.faults.clear()
    simulator.faults.add("malformed_rows", **window)
    spoilt = desk.public(KLINES, **asked).body
    assert [after == before for before, after in zip(whole, spoilt, strict=True)] == [True, *[False] * 3, True, True]
    assert desk.public(KLINES, **asked | {"symbol": "ETHUSDT"}).body != []


def test_a_clock_that_is_wrong(desk: Desk, simulator: Simulator) -> None:
    simulator.skew_clock(-60_000)
    assert desk.public("/fapi/v1/time").body["serverTime"] < simulator.now() - 50_000
    assert desk.signed("GET", "/fapi/v3/balance").code == -1021
    assert desk.signed("GET", "/fapi/v3/balance", timestamp=simulator.now() - 60_000).status == 200
    simulator.faults.clear()
    assert desk.signed("GET", "/fapi/v3/balance").status == 200


def test_the_panel_refuses_politely(simulator: Simulator) -> None:
    answer = requests.post(f"{simulator.url}/sim/faults", data=b'{"kind":"lose","path":"x"}', timeout=TIMEOUT)
    assert answer.status_code == 400
    assert "cannot match 'path'" in answer.json()["error"]
    assert requests.delete(f"{simulator.url}/sim/faults/99999", timeout=TIMEOUT).status_code == 400
    wrong = {"symbol": "BTCUSDT", "interval": "7m", "start": 0, "end": 0}
    assert requests.get(f"{simulator.url}/sim/klines", params=wrong, timeout=TIMEOUT).status_code == 400


@pytest.fixture(scope="module")
def archive_day() -> str:
    return "2026-01-01"


def archive(simulator: Simulator, day: str, suffix: str = "") -> requests.Response:
    path = f"/data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-{day}.zip{suffix}"
    return requests.get(simulator.url + path, timeout=TIMEOUT)


def test_the_archive_sound_and_damaged(simulator: Simulator, archive_day: str) -> None:
    sound, checksum = archive(simulator, archive_day), archive(simulator, archive_day, ".CHECKSUM")
    assert sound.status_code == 200
    assert checksum.text.split()[0] == hashlib.sha256(sound.content).hexdigest()
    with zipfile.ZipFile(io.BytesIO(sound.content)) as opened:
        assert len(opened.read(opened.namelist()[0]).splitlines()) == 25
    simulator.faults.add("archive_corrupt", path=f"*{archive_day}.zip*", next=2)
    assert archive(simulator, archive_day).content != sound.content
    assert archive(simulator, archive_day, ".CHECKSUM").text == checksum.text
    simulator.faults.add("archive_checksum", symbol="BTCUSDT", next=1)
    assert archive(simulator, archive_day, ".CHECKSUM").text != checksum.text
    simulator.faults.add("archive_missing", path="*BTCUSDT*", next=1)
    assert archive(simulator, archive_day).status_code == 404
    simulator.faults.add("archive_hole", symbol="BTCUSDT", start=JANUARY, end=JANUARY + DAY - 1)
    assert archive(simulator, archive_day).status_code == 404
    simulator.faults.clear()
    assert archive(simulator, archive_day).content == sound.content
    assert archive(simulator, "2999-01-01").status_code == 404


@pytest.fixture(scope="module")
def fast() -> Any:
    """A minute of this exchange lasts a second."""
    with Simulator.start(speed=60, stream_period=6_000, lifted_limits=True, symbols=("BTCUSDT",)) as simulator:
        yield simulator


async def hear(socket: websockets.ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT))
    return frame


STREAM = "/market/ws/btcusdt@kline_1m"


@pytest.fixture
async def socket(fast: Simulator) -> Any:
    fast.faults.clear()
    async with websockets.connect(fast.ws_url + STREAM) as connection:
        yield connection


async def listen(socket: websockets.ClientConnection, until: Callable[[list[dict[str, Any]]], bool]) -> list[Any]:
    frames: list[dict[str, Any]] = []
    while not until(frames):
        frames.append(await hear(socket))
    return frames


def state(frame: dict[str, Any]) -> tuple[int, int, bool]:
    return frame["k"]["t"], frame["k"]["n"], frame["k"]["x"]


async def test_candles_that_never_close(fast: Simulator, socket: websockets.ClientConnection) -> None:
    fast.faults.add("lose", stream="btcusdt@kline_1m", closing=True)
    frames = await listen(socket, lambda heard: len({frame["k"]["t"] for frame in heard}) > 3)
    assert not any(frame["k"]["x"] for frame in frames)


async def test_frames_that_come_twice(fast: Simulator, socket: websockets.ClientConnection) -> None:
    fast.faults.add("repeat", closing=True)
    frames = await listen(socket, lambda heard: sum(frame["k"]["x"] for frame in heard) == 2)
    closing = [state(frame) for frame in frames if frame["k"]["x"]]
    assert closing[0] == closing[1]


@pytest.mark.parametrize("fault", [{"kind": "reorder"}, {"kind": "delay", "milliseconds": 1_500}])
async def test_frames_out_of_order(fast: Simulator, socket: websockets.ClientConnection, fault: dict[str, Any]) -> None:
    fast.faults.add(**fault, closing=True, next=1)
    frames = await listen(socket, goes_back)
    assert frames[-1]["k"]["x"]


def goes_back(frames: list[dict[str, Any]]) -> bool:
    assert len(frames) < 200
    return len(frames) > 1 and frames[-1]["k"]["t"] < frames[-2]["k"]["t"]


async def test_frames_that_are_broken(fast: Simulator, socket: websockets.ClientConnection) -> None:
    fast.faults.add("garble", next=1)
    with pytest.raises(json.JSONDecodeError):
        await listen(socket, lambda heard: len(heard) > 50)


async def test_a_line_that_is_cut_at_a_frame(fast: Simulator, socket: websockets.ClientConnection) -> None:
    fast.faults.add("drop", stream="btcusdt*", next=1)
    with pytest.raises(websockets.ConnectionClosedError) as closed:
        await listen(socket, lambda heard: len(heard) > 50)
    assert closed.value.rcvd is None


@pytest.mark.parametrize("by_rule", [True, False])
async def test_a_line_that_freezes(fast: Simulator, socket: websockets.ClientConnection, by_rule: bool) -> None:
    if by_rule:
        fast.faults.add("freeze", next=1)
    else:
        assert fast.freeze_connections("market") >= 1
    with suppress(TimeoutError):
        while True:  # what was on its way before it froze
            await asyncio.wait_for(socket.recv(), 1)
    async with websockets.connect(fast.ws_url + STREAM) as other:
        await listen(other, lambda heard: len(heard) == 3)
    await asyncio.wait_for(await socket.ping(), TIMEOUT)
    assert not socket.protocol.close_code


async def test_every_line_is_cut(fast: Simulator, socket: websockets.ClientConnection) -> None:
    assert fast.drop_connections("private") == 0
    assert fast.drop_connections() >= 1
    with pytest.raises(websockets.ConnectionClosed):
        await listen(socket, lambda heard: len(heard) > 50)


async def test_a_handshake_that_is_refused(fast: Simulator) -> None:
    fast.faults.clear()
    fast.faults.add("refuse", route="market", next=1)
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(fast.ws_url + STREAM)
    async with websockets.connect(fast.ws_url + STREAM) as socket:
        assert (await hear(socket))["e"] == "kline"


async def test_the_ledger_counts_what_was_sent_and_lost(fast: Simulator, socket: websockets.ClientConnection) -> None:
    def lost() -> int:
        return fast.ledger()["frames"].get("lose", 0)

    before = lost()
    fast.faults.add("lose", next=3)
    await listen(socket, lambda heard: lost() >= before + 3)  # what was sent before the fault is heard first
    await hear(socket)
    assert lost() == before + 3
