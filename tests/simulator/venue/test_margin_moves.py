"""Margin that is moved by hand, and orders that are cancelled unless their owner is heard of."""

import random
from collections import Counter
from decimal import Decimal

import pytest

from pipeline.simulator.errors import ApiError
from pipeline.simulator.venue.orders import PositionSide
from tests.simulator.venue.test_laws import check_money, check_stream, walk

D = Decimal


def isolated(desk):
    desk.ask("POST", "v1/marginType", symbol=desk.symbol, marginType="ISOLATED")
    desk.ask("POST", "v1/leverage", symbol=desk.symbol, leverage=10)


def test_margin_goes_into_an_isolated_position_and_out_again(desk):
    isolated(desk)
    desk.order("BUY", "0.1")
    set_aside = D(desk.position()["isolatedWallet"])
    wallet, before = desk.wallet(), D(desk.position()["liquidationPrice"])
    desk.venue.drain_events(desk.name)
    moved = desk.ask("POST", "v1/positionMargin", symbol="BTCUSDT", amount="100.5", type=1)
    assert moved == {"amount": 100.5, "code": 200, "msg": "Successfully modify position margin.", "type": 1}
    assert D(desk.position()["isolatedWallet"]) == set_aside + D("100.5")
    assert D(desk.position()["liquidationPrice"]) < before - 1_000
    assert desk.wallet() == wallet
    (event,) = desk.venue.drain_events(desk.name)
    assert (event["e"], event["a"]["m"], D(event["a"]["P"][0]["iw"])) == (
        "ACCOUNT_UPDATE", "MARGIN_TRANSFER", set_aside + D("100.5"),
    )  # fmt: skip
    desk.at += 1
    desk.ask("POST", "v1/positionMargin", symbol="BTCUSDT", amount="100", type=2)
    assert D(desk.position()["isolatedWallet"]) == set_aside + D("0.5")
    rows = desk.ask("GET", "v1/positionMargin/history", symbol="BTCUSDT")
    assert [(row["type"], row["amount"], row["asset"]) for row in rows] == [
        (1, "100.50000000", "USDT"), (2, "100.00000000", "USDT"),
    ]  # fmt: skip
    assert len(desk.ask("GET", "v1/positionMargin/history", symbol="BTCUSDT", type=2)) == 1
    assert [entry.amount for entry in desk.venue.ledger if type(entry).__name__ == "MarginMoved"] == [D("100.5"), -100]


def test_coins_go_into_an_isolated_position(open_coin_desk):
    coin_desk = open_coin_desk()
    isolated(coin_desk)
    coin_desk.order("BUY", 10)
    before = D(coin_desk.position()["isolatedMargin"])
    coin_desk.ask("POST", "v1/positionMargin", symbol="BTCUSD_PERP", amount="0.001", type=1)
    assert D(coin_desk.position()["isolatedMargin"]) == before + D("0.001")


@pytest.mark.parametrize(
    ("amount", "way", "expected"),
    [("1000000", 1, -4050), ("1", 2, -4051), ("0", 1, -4055), ("-5", 1, -4055), ("5", 3, -1130), ("x", 1, -1102)],
)
def test_margin_that_cannot_be_moved(desk, code, amount, way, expected):
    isolated(desk)
    desk.order("BUY", "0.1")
    kept = desk.position()["isolatedWallet"]
    assert code(lambda: desk.ask("POST", "v1/positionMargin", symbol="BTCUSDT", amount=amount, type=way)) == expected
    assert desk.position()["isolatedWallet"] == kept


def test_there_is_no_margin_to_move_where_nothing_is_isolated_or_held(desk, code):
    def move():
        return desk.ask("POST", "v1/positionMargin", symbol="BTCUSDT", amount=5, type=1)

    assert code(move) == -4054
    desk.order("BUY", "0.1")
    assert code(move) == -4054


def test_orders_are_cancelled_when_the_time_is_up(desk):
    order = desk.order("BUY", "0.1", "50000")
    answer = desk.ask("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=5_000)
    assert answer == {"symbol": "BTCUSDT", "countdownTime": "5000"}
    desk.wait(4_000)
    desk.ask("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=5_000)
    desk.wait(8_000)
    assert desk.state(order)["status"] == "NEW"
    desk.wait(9_000)
    assert desk.state(order)["status"] == "CANCELED"
    later = desk.order("BUY", "0.1", "50000")
    desk.wait(30_000)
    assert desk.state(later)["status"] == "NEW"


def test_a_countdown_is_taken_back_by_zero_and_spent_where_there_was_nothing(desk):
    desk.ask("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=1_000)
    desk.wait(60_000)
    order = desk.order("BUY", "0.1", "50000")
    desk.ask("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=1_000)
    desk.ask("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=0)
    desk.wait(90_000)
    assert desk.state(order)["status"] == "NEW"


@pytest.mark.parametrize("seed", [1, 2])
def test_money_and_margin_agree_after_random_moves(open_desk, seed):
    rng = random.Random(seed)
    desk = open_desk(walk(rng, 600_000, 600), deposit=100_000, seed=seed)
    isolated(desk)
    events, done = [], Counter()
    for _ in range(400):
        desk.wait(desk.at + rng.choice([10, 3_000, 30_000]))
        try:
            if rng.random() < 0.5:
                desk.order(rng.choice(["BUY", "SELL"]), D(rng.randint(1, 200)) / 1_000)
            else:
                amount, way = rng.randint(1, 900), rng.choice([1, 2])
                desk.ask("POST", "v1/positionMargin", symbol="BTCUSDT", amount=amount, type=way)
                done[way] += 1
        except ApiError:
            done["refused"] += 1
        events += desk.events()
        check_money(desk)
        position = desk.venue.books(desk.name).position("BTCUSDT", PositionSide.BOTH)
        assert position.isolated_wallet >= 0
        assert position.quantity or not position.isolated_wallet
    check_stream(desk, events)
    assert min(done.values()) > 10
