"""The signed endpoints against the real simulator, and what every way of failing means for an order."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.errors import (
    BannedError,
    BlockedError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RateLimitedError,
    RefusedError,
    StoppedError,
    UnknownOutcomeError,
    UnreachableError,
)
from pipeline.exchange.outcomes import Outcome, outcome_of
from pipeline.exchange.reports import OrderReport, read
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import NewAlgo, NewOrder, Trading, plain
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import Account
from tests.by_hand import cancel_open_algos, set_hedge_mode

SYMBOL = "BTCUSDT"
_ids = count()


def client_of(simulator: Simulator, *, retries: int = 0, secret: str = "sim-secret", read_timeout: float = 5.0) -> Any:
    place = replace(at(SIM, simulator.url), retries=retries, read_timeout=read_timeout)
    return RestClient(place, Credentials("sim-key", signer_for(secret)), random_=random.Random(1))


@pytest.fixture
def trading(simulator: Simulator, flatten: Callable[[], None]) -> Iterator[Trading]:
    """An account on the exchange of this run, flat before the test and after it; its margin is as an account begins,
    whatever an executor of another test has set."""
    flatten()
    with client_of(simulator) as client:
        trading = Trading(client)
        trading.set_margin_type(SYMBOL, "CROSSED")
        yield trading
    simulator.faults.clear()
    flatten()


def market(quantity: Decimal = Decimal("0.01"), **fields: Any) -> NewOrder:
    side = "BUY" if quantity > 0 else "SELL"
    client_id = fields.pop("client_id", f"t:{next(_ids)}")
    return NewOrder(symbol=SYMBOL, side=side, client_id=client_id, quantity=abs(quantity), **fields)


def stop_below(trading: Trading, share: str = "0.9", **fields: Any) -> NewAlgo:
    (held,) = trading.positions(SYMBOL)
    trigger = (held.mark_price * Decimal(share)).quantize(Decimal("0.1"))
    return NewAlgo(
        symbol=SYMBOL, side="SELL", client_id=f"s:{next(_ids)}", type="STOP_MARKET", trigger_price=trigger, **fields
    )


def test_a_position_from_its_first_order_to_its_end(trading: Trading) -> None:
    since = trading.client.server_time()
    bought = trading.place_order(market())
    assert (bought.status, bought.executed_qty, bought.avg_price) == ("FILLED", Decimal("0.01"), None)
    asked = trading.query_order(SYMBOL, bought.client_order_id)
    assert asked is not None
    assert asked.avg_price is not None
    assert asked.avg_price > 0
    (held,) = trading.positions(SYMBOL)
    assert (held.position_amt, held.entry_price) == (Decimal("0.01"), asked.avg_price)

    stop = trading.place_algo(stop_below(trading))
    assert (stop.algo_status, stop.close_position) == ("NEW", True)
    found = trading.query_algo(SYMBOL, stop.client_algo_id)
    assert found is not None
    assert (found.algo_id, found.trigger_price) == (stop.algo_id, stop.trigger_price)
    assert [one.client_algo_id for one in trading.open_algos()] == [stop.client_algo_id]
    assert trading.cancel_algo(stop.client_algo_id)
    assert not trading.cancel_algo(stop.client_algo_id)

    partly = trading.place_algo(stop_below(trading, quantity=Decimal("0.004")))
    assert (partly.close_position, partly.reduce_only, partly.quantity) == (False, True, Decimal("0.004"))
    cancel_open_algos(trading, SYMBOL)
    assert trading.open_algos() == []

    sold = trading.place_order(market(Decimal("-0.01"), reduce_only=True))
    fills = trading.trades(SYMBOL, since)
    assert [fill.order_id for fill in fills] == [bought.order_id, sold.order_id]
    assert trading.trades_of(SYMBOL, sold.order_id) == fills[1:]
    assert all(fill.commission > 0 for fill in fills)
    incomes = trading.incomes(since, trading.client.server_time())
    assert sum(row.income for row in incomes if row.income_type == "COMMISSION") == -sum(f.commission for f in fills)
    (wallet,) = trading.account().wallets
    assert wallet.equity == wallet.balance + wallet.unrealized


def test_a_limit_order_rests_until_it_is_cancelled(trading: Trading) -> None:
    trading.place_order(market())
    (held,) = trading.positions(SYMBOL)
    low = (held.mark_price * Decimal("0.96")).quantize(Decimal("0.1"))
    resting = trading.place_order(market(price=low))
    assert (resting.status, resting.price, resting.type) == ("NEW", low, "LIMIT")
    assert [one.client_order_id for one in trading.open_orders()] == [resting.client_order_id]
    cancelled = trading.cancel_order(SYMBOL, resting.client_order_id)
    assert cancelled is not None
    assert cancelled.status == "CANCELED"
    assert trading.cancel_order(SYMBOL, resting.client_order_id) is None
    assert trading.query_order(SYMBOL, "never-was") is None
    assert trading.query_algo(SYMBOL, "never-was") is None


def test_settings_that_are_so_already_are_a_success(trading: Trading) -> None:
    trading.set_leverage(SYMBOL, 7)
    trading.set_leverage(SYMBOL, 7)
    config = trading.symbol_config(SYMBOL)
    assert config is not None
    assert (config.leverage, config.margin_type) == (7, "CROSSED")
    trading.set_margin_type(SYMBOL, "CROSSED")
    assert trading.hedge_mode() is False


def test_another_refusal_of_a_setting_is_told(trading: Trading) -> None:
    trading.place_order(market())
    with pytest.raises(RefusedError) as told:
        trading.set_margin_type(SYMBOL, "ISOLATED")
    assert told.value.code == -4048


def test_incomes_of_more_than_a_page_come_whole(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    since = trading.client.server_time()
    for _ in range(4):
        trading.place_order(market())
        time.sleep(0.005)  # more in one millisecond than a page of two holds cannot be told apart
    until = trading.client.server_time()
    whole = trading.incomes(since, until)
    fills = trading.trades(SYMBOL, since)
    monkeypatch.setattr("pipeline.exchange.trading.MOST_INCOMES", 2)
    monkeypatch.setattr("pipeline.exchange.trading.MOST_TRADES", 2)
    assert trading.incomes(since, until) == whole
    assert trading.trades(SYMBOL, since) == fills
    assert len(whole) >= len(fills) == 4


def test_every_order_of_a_symbol_comes_page_by_page(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    since = trading.client.server_time()
    ids = [trading.place_order(market()).client_order_id for _ in range(5)]
    stops = []
    for _ in range(3):
        stops.append(trading.place_algo(stop_below(trading)).client_algo_id)
        cancel_open_algos(trading, SYMBOL)
    monkeypatch.setattr("pipeline.exchange.trading.MOST_ORDERS", 2)
    assert [one.client_order_id for one in trading.all_orders(SYMBOL, since)] == ids
    assert [one.client_algo_id for one in trading.all_algos(SYMBOL, since)] == stops


def test_hedge_mode_says_by_the_side_what_one_way_says_by_reduce_only(
    start_simulator: Callable[..., Simulator],
) -> None:
    with client_of(start_simulator()) as client:
        trading = Trading(client)
        set_hedge_mode(trading)
        assert trading.hedge_mode()
        trading.place_order(market(position_side="LONG"))
        trading.place_order(market(Decimal("-0.004"), position_side="LONG", reduce_only=True))
        (held,) = trading.positions(SYMBOL)
        assert (held.position_side, held.position_amt) == ("LONG", Decimal("0.006"))


@pytest.mark.parametrize(
    ("amount", "text"),
    [(Decimal("1E+3"), "1000"), (Decimal("1E-8"), "0.00000001"), (Decimal("0.10"), "0.10"), (Decimal(0), "0")],
)
def test_amounts_are_sent_in_digits(amount: Decimal, text: str) -> None:
    assert plain(amount) == text


def test_a_record_passes_over_what_it_does_not_know() -> None:
    answer = {"orderId": 1, "clientOrderId": "a", "symbol": "X", "status": "NEW_WORD", "side": "BUY", "type": "ODD"}
    report = read(answer | {"st": "2", "ps": {"new": 1}, "updateTime": 5}, OrderReport, "GET /x")
    assert (report.status, report.type, report.update_time) == ("NEW_WORD", "ODD", 5)


@pytest.mark.parametrize("answer", [[], {}, None, {"orderId": "x"}, "text"])
def test_an_answer_that_is_no_order_leaves_the_outcome_unknown(answer: Any) -> None:
    with pytest.raises(ExchangeError) as told:
        read(answer, OrderReport, "POST /fapi/v1/order")
    assert outcome_of(told.value) is Outcome.UNKNOWN


FAILURES = [
    ("unknown_before", Outcome.UNKNOWN, False),
    ("unknown_after", Outcome.UNKNOWN, True),
    ("timeout_before", Outcome.UNKNOWN, False),
    ("timeout_after", Outcome.UNKNOWN, True),
    ("reset_before", Outcome.UNKNOWN, False),
    ("reset_after", Outcome.UNKNOWN, True),
    ("hang_before", Outcome.UNKNOWN, False),
    ("hang_after", Outcome.UNKNOWN, True),
    ("truncated", Outcome.UNKNOWN, True),
    ("invalid_json", Outcome.UNKNOWN, True),
    ("maintenance", Outcome.NOT_DONE, False),
    ("overloaded", Outcome.NOT_DONE, False),
    ("rate_limited", Outcome.NOT_DONE, False),
    ("banned", Outcome.REFUSED, False),
]


@pytest.mark.parametrize(("fault", "outcome", "executed"), FAILURES)
def test_what_a_failure_says_about_an_order(
    simulator: Simulator, trading: Trading, fault: str, outcome: Outcome, executed: bool
) -> None:
    simulator.faults.add(fault, method="POST", path="/fapi/v1/order", next=1)
    order = market()
    with client_of(simulator, read_timeout=0.4) as client, pytest.raises(ExchangeError) as told:
        Trading(client).place_order(order)
    assert outcome_of(told.value) is outcome
    assert order.client_id not in str(told.value)
    simulator.forgive()
    accepted = [e for e in simulator.ledger()["trading"] if e["kind"] == "Accepted"]
    assert (order.client_id in {one["client_id"] for one in accepted}) is executed


REFUSALS = {
    RefusedError: (
        -1102, -1106, -1111, -1116, -1121, -1125, -1130, -2010, -2011, -2013, -2018, -2019, -2021, -2022, -2025, -4003,
        -4004, -4005, -4014, -4015, -4016, -4023, -4024, -4045, -4046, -4059, -4061, -4116, -4118, -4120, -4131, -4142,
        -4164, -4171, -5021, -5022,
    ),
    RateLimitedError: (-1003, -1015),
    KeyProblemError: (-1022, -2014, -2015),
    NotDoneError: (-1001, -1008, -1021, -5028),
    UnknownOutcomeError: (-1000, -1006, -1007),
}  # fmt: skip
OUTCOMES = {
    RefusedError: Outcome.REFUSED,
    KeyProblemError: Outcome.REFUSED,
    RateLimitedError: Outcome.NOT_DONE,
    NotDoneError: Outcome.NOT_DONE,
    UnknownOutcomeError: Outcome.UNKNOWN,
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_code_is_what_the_table_says(simulator: Simulator, trading: Trading, kind: type[ExchangeError]) -> None:
    for code in REFUSALS[kind]:
        number = simulator.faults.add("answer_code", code=code, method="POST", path="/fapi/v1/order", next=1)
        with client_of(simulator) as client, pytest.raises(ExchangeError) as told:
            Trading(client).place_order(market())
        assert isinstance(told.value, kind)
        assert told.value.code == code
        assert outcome_of(told.value) is OUTCOMES[kind]
        assert simulator.faults.struck(number) == 1, "nothing is sent twice"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UnreachableError("no connection"), Outcome.NOT_DONE),
        (StoppedError("told to stop"), Outcome.NOT_DONE),
        (BlockedError("firewall", status=403), Outcome.REFUSED),
        (BannedError("banned", 1, status=418), Outcome.REFUSED),
    ],
)
def test_what_never_reached_the_matching_engine(error: ExchangeError, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


def test_a_wrong_secret_is_a_matter_for_a_person(simulator: Simulator) -> None:
    with client_of(simulator, secret="another") as client, pytest.raises(KeyProblemError) as told:
        Trading(client).account()
    assert told.value.exit_code == 3
    assert "another" not in str(told.value)


def test_a_key_that_may_only_read_cannot_trade(start_simulator: Callable[..., Simulator]) -> None:
    reader = Account(name="reader", key="sim-key", secret="sim-secret", permissions=("read",))
    with client_of(start_simulator(accounts=(reader,))) as client:
        trading = Trading(client)
        assert trading.account().wallets[0].balance == 10_000
        with pytest.raises(KeyProblemError):
            trading.place_order(market())
