"""Live explained by a backtest: each cause by what is stored, its cost, and that all adds up to the last digit."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.execution.engine.state import TradingView
from pipeline.research.backtest.coins import trades_of_coins
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.funding import Due
from pipeline.research.explain.answer import Explained, Row, rows_of
from pipeline.research.explain.causes import MEANINGS, means
from pipeline.research.explain.deals import Deal, Leg, by_guards, rounded
from pipeline.research.explain.heard import Away, Candle, Decided, Heard, Judged, Stored
from pipeline.research.explain.live import decided_at
from pipeline.research.explain.slippage import ENOUGH, Filled, fills_of, fit, slippages
from pipeline.settings import Portfolio
from pipeline.timeline import HOUR, MINUTE, SECOND, to_datetime
from schemas.orders import Order, Transition
from schemas.signals import Kind
from tests.contracts import BTC, contract, pair
from tests.research.explained import by_paper, explained, heard_of, journal_of
from tests.research.stage import BEGIN, EQUITY, TARGET, asked, chatter, flat, minutes, said, wild

ONE = Instrument.of(UM, contract(BTC))
RATE = Decimal("0.0005")


def leg(kind: Any, price: str, *, quantity: str = "1", signal: str | None = "s1", **more: Any) -> Leg:
    """Decided where it was filled, and paid for as usual, unless said otherwise."""
    paid = Decimal(price) * Decimal(quantity) * RATE
    known: dict[str, Any] = {"decided": Decimal(price), "late": 600, "equity": Decimal(1000), "fee": paid}
    return Leg(
        order=f"{kind} {signal}", signal=signal, leg=kind, quantity=Decimal(quantity), price=Decimal(price), at=BEGIN,
        **known | {"wanted": Decimal(quantity)} | more,
    )  # fmt: skip


def stop(price: str, trigger: str) -> Leg:
    return leg("stop", price, decided=None, late=None, equity=None, wanted=None, trigger=Decimal(trigger))


def deal(entering: Leg, closing: Leg, *, gross: str | None = None, ended: int = HOUR, **more: Any) -> Deal:
    """A long; what it brought follows from its prices, unless said otherwise."""
    brought = entering.quantity * (closing.price - entering.price) if gross is None else Decimal(gross)
    return Deal(
        symbol=BTC, side="long", strategy="rule", interval="1m", signal="s1", opened_at=BEGIN, closed_at=BEGIN + ended,
        entering=[entering], closing=[closing], gross=brought, **more,
    )  # fmt: skip


PAPER = deal(leg("entry", "100"), leg("exit", "110", signal="s2"))
STOPPED = deal(leg("entry", "100"), stop("94.9", "95"), levels={"stop": [Decimal(95)]})
EXIT = leg("exit", "110", signal="s2")
"""Of a backtest: 10 gained, less 0.105 of fees."""


@pytest.mark.parametrize(
    ("live", "paper", "costs", "rest"),
    [
        (PAPER, PAPER, {}, "0"),
        (deal(leg("entry", "101"), EXIT), PAPER, {"latency": "-1.0005"}, "0"),
        (deal(leg("entry", "101", late=30_000), EXIT), PAPER, {"late": "-1.0005"}, "0"),
        (deal(leg("entry", "100.5", decided=Decimal(100)), EXIT), PAPER, {"slippage": "-0.50025"}, "0"),
        (deal(leg("entry", "102", decided=Decimal(101)), EXIT), PAPER,
         {"latency": "-1.0005", "slippage": "-1.0005"}, "0"),
        (deal(leg("entry", "100", fee=Decimal("0.02")), EXIT), PAPER, {"fee": "0.03"}, "0"),
        (deal(leg("entry", "100", fee=Decimal("0.05000001")), EXIT), PAPER, {"rounding": "-0.00000001"}, "0"),
        (deal(leg("entry", "100"), EXIT, funding=Decimal("-0.3")), PAPER, {"funding": "-0.3"}, "0"),
        (deal(leg("entry", "100"), EXIT, gross="10.00000001"), PAPER, {"rounding": "0.00000001"}, "0"),
        (deal(leg("entry", "100", quantity="2", equity=Decimal(2000)), leg("exit", "110", quantity="2", signal="s2")),
         PAPER, {"size": "9.895"}, "0"),
        (deal(leg("entry", "100", quantity="2", bound="a cap"), leg("exit", "110", quantity="2", signal="s2")), PAPER,
         {"size": "9.895"}, "0"),
        (deal(leg("entry", "100", quantity="0.5", wanted=Decimal(1)), leg("exit", "110", quantity="0.5", signal="s2")),
         PAPER, {"unfilled": "-4.9475"}, "0"),
        (deal(leg("entry", "100"), stop("93.9", "94"), levels={"stop": [Decimal(94)]}), STOPPED,
         {"level": "-0.9995"}, "0"),
        (deal(leg("entry", "100"), stop("94", "95"), levels={"stop": [Decimal(95)]}), STOPPED,
         {"slippage": "-0.89955"}, "0"),
        (deal(leg("entry", "100"), leg("flatten", "105", signal=None), ended=MINUTE), PAPER,
         {"command": "-4.9975"}, "0"),
        (deal(leg("entry", "100"), leg("hand", "105", signal=None, fee=None), ended=MINUTE), PAPER,
         {"hand": "-4.945"}, "0"),
        (deal(leg("entry", "100"), leg("liquidation", "50", signal=None), ended=MINUTE), PAPER,
         {"liquidation": "-59.97"}, "0"),
        (deal(leg("entry", "100"), stop("96", "96"), levels={"stop": [Decimal(96)]}, ended=MINUTE),
         replace(PAPER, levels={"stop": [Decimal(95)]}), {"level": "-13.993"}, "0"),
        (deal(leg("entry", "100"), leg("take_profit", "104", signal=None, trigger=Decimal(104)), ended=MINUTE),
         replace(PAPER, levels={"take_profit": [Decimal(105)]}), {"level": "-5.997"}, "0"),
        # nothing that is stored says why
        (deal(leg("entry", "101", decided=None), EXIT), PAPER, {}, "-1.0005"),
        (deal(leg("entry", "100", quantity="2"), leg("exit", "110", quantity="2", signal="s2")), PAPER, {}, "9.895"),
        (deal(leg("entry", "100"), EXIT, gross="12"), PAPER, {}, "2"),
        (deal(leg("entry", "100", fee=None), EXIT), PAPER, {}, "0.05"),
        (deal(leg("entry", "100"), stop("95", "95"), levels={"stop": [Decimal(95)]}, ended=MINUTE),
         replace(PAPER, levels={"stop": [Decimal(95)]}), {}, "-14.9925"),
        (deal(leg("entry", "100"), stop("96", "96"), levels={"stop": [Decimal(96)]}, ended=MINUTE),
         replace(PAPER, levels={"stop": [Decimal(97)]}), {}, "-13.993"),
    ],
)  # fmt: skip
def test_what_both_had(live: Deal, paper: Deal, costs: dict[str, str], rest: str) -> None:
    (row,) = rows_of([live], [paper], {BTC: ONE}, Stored())
    expected = {name: Decimal(money) for name, money in costs.items()}
    assert (row.by_cause, row.rest) == (expected, Decimal(rest))
    add_up(row)


def heard(verdict: Any = "taken", reason: str | None = None, **more: Any) -> Heard:
    known: dict[str, Any] = {"id": "s1", "symbol": BTC, "interval": "1m", "strategy": "rule", "kind": "entry"}
    return Heard(**known | {"side": "long", "at": BEGIN, "price": Decimal(100), "live": Judged(verdict, reason)} | more)


def order(state: Any, detail: str | None = None, code: int | None = None, **more: Any) -> Order:
    at = to_datetime(BEGIN)
    known: dict[str, Any] = {"leg": "entry", "side": "BUY", "type": "MARKET", "quantity": Decimal(1), "fence": 1}
    return Order(
        id="o1", environment="sim", symbol=BTC, signal="s1", state=state, filled=Decimal(0), error_code=code,
        history=[Transition(state=state, at=at, by="answer", detail=detail)], created_at=at, updated_at=at,
        **known | more,
    )  # fmt: skip


CLOSE, LATER = Candle(Decimal(100), BEGIN), Candle(Decimal(100), BEGIN + HOUR)
CLOSES = Decided(BEGIN, Decimal(1), Decimal(100), Decimal(1000))
AWAY = [Away("ingester", BEGIN - MINUTE, BEGIN + MINUTE)]


@pytest.mark.parametrize(
    ("signal", "stored", "cause", "words"),
    [
        (heard("skipped", "breaker daily-loss: the day's loss is 5 %"), {}, "breaker", "live: breaker daily-loss"),
        (heard("skipped", "halted since noon"), {}, "breaker", "halted since noon"),
        (heard("skipped", "stale data: the feed of BTCUSDT was never heard"), {}, "skipped", "stale data"),
        (heard("skipped", "held by turtle 1h"), {}, "before", "held by turtle 1h"),
        (heard("skipped", "5 positions are open, and 5 is the most"), {}, "before", "5 is the most"),
        (heard("skipped", "too small: the position's unit allows 0.00001, worth 0.69"), {}, "before", "too small"),
        (heard("skipped", "somebody else holds 3 BTCUSDT on this account"), {}, "hand", "somebody else holds 3"),
        (heard("would-take", "signal-only: nothing is sent"), {}, "signal-only", "nothing is sent"),
        (heard("expired", "seen 900 ms after it stopped being fresh"), {}, "late", "seen 900 ms"),
        (heard("expired", from_history=True, candle=CLOSE), {}, "late", "found in history"),
        (heard("expired", from_history=True, candle=LATER), {}, "corrected", "its candle was written at"),
        (heard("expired", candle=CLOSE._replace(close=Decimal(101))), {}, "corrected", "closed at 101 by now"),
        (heard("expired", "seen late", candle=CLOSE), {"away": AWAY}, "outage", "the ingester was away"),
        (heard("fresh"), {"away": AWAY}, "outage", "the ingester was away"),
        (heard(), {"orders": {"s1": [order("rejected", "Margin is insufficient", -2019)]}}, "refused",
         "entry rejected (-2019): Margin is insufficient"),
        (heard(), {"orders": {"s1": [order("abandoned", "not sent: halted")]}}, "refused", "not sent: halted"),
        (heard(live=Judged("taken", decided=CLOSES)), {}, "before", "live: it closed what was still held"),
        # nothing that is stored says why
        (heard(), {}, None, ""),
        (heard("fresh"), {}, None, ""),
        (heard("expired", "no word", id="another"), {}, None, ""),
    ],
)  # fmt: skip
def test_what_only_the_backtest_traded(signal: Heard, stored: dict[str, Any], cause: str | None, words: str) -> None:
    (row,) = rows_of([], [PAPER], {BTC: ONE}, Stored({signal.id: signal}, **stored))
    assert list(row.by_cause) == ([] if cause is None else [cause])
    assert words in "".join(one.words for one in row.costs)
    assert (row.live, row.paper, row.difference) == (None, PAPER.result, -PAPER.result)
    add_up(row)


def test_what_a_refused_exit_left_and_another_order_closed_is_by_the_refusal() -> None:
    closed = deal(leg("entry", "100"), leg("flatten", "105", signal=None), ended=MINUTE)
    failed = order("abandoned", "unknown id", leg="exit")
    exits = {
        "s2": (failed.model_copy(update={"signal": "s2"}), "refused"),
        "s3": (failed.model_copy(update={"signal": "s3"}), "skipped"),
    }
    skip = heard(id="s3", kind="exit", paper=Judged("skipped", "stale data: no word"))
    for name, (one, cause) in exits.items():
        (row,) = rows_of([closed], [PAPER], {BTC: ONE}, Stored({"s3": skip}, {name: [one]}))
        assert list(row.by_cause) == [cause]
    later = failed.model_copy(update={"created_at": to_datetime(BEGIN + HOUR)})
    (row,) = rows_of([closed], [PAPER], {BTC: ONE}, Stored({}, {"s2": [later]}))
    assert list(row.by_cause) == ["command"]


@pytest.mark.parametrize(("owner", "cause"), [(("rule", "1m"), "refused"), (("rule", "5m"), "command")])
def test_an_exit_that_failed_is_looked_for_among_those_of_its_own_strategy(owner: tuple[str, str], cause: str) -> None:
    closed = deal(leg("entry", "100"), leg("flatten", "105", signal=None), ended=MINUTE)
    failed = {"leg": "exit", "strategy": owner[0], "interval": owner[1]}
    theirs = order("abandoned", **failed | {"strategy": "another"}).model_copy(update={"signal": "s9"})
    own = order("abandoned", **failed).model_copy(update={"signal": "s2"})
    (row,) = rows_of([closed], [PAPER], {BTC: ONE}, Stored({}, {"s9": [theirs], "s2": [own]}))
    assert list(row.by_cause) == [cause]


def test_of_two_that_spoke_at_once_the_other_came_first() -> None:
    """And only then: what another strategy has held for longer is a difference before it."""
    kept_out = Judged("skipped", "held by other 1m")
    for at, cause in ((BEGIN, "rival"), (BEGIN - MINUTE, "before")):
        other = heard(id="s9", strategy="other", at=at, paper=kept_out)
        stored = Stored({"s1": heard(live=kept_out, paper=Judged("taken")), "s9": other})
        (row,) = rows_of([], [PAPER], {BTC: ONE}, stored)
        assert list(row.by_cause) == [cause]
        closing = replace(other, kind="exit")
        (row,) = rows_of([], [PAPER], {BTC: ONE}, Stored({**stored.signals, "s9": closing}))
        assert list(row.by_cause) == ["before"]
        stored = Stored({"s1": heard(paper=kept_out), "s9": replace(other, live=kept_out, paper=Judged("taken"))})
        (row,) = rows_of([PAPER], [], {BTC: ONE}, stored)
        assert list(row.by_cause) == [cause]


@pytest.mark.parametrize(
    ("paper", "cause"),
    [
        (Judged("skipped", "no position to add to"), "before"),
        (Judged("skipped", "breaker account-loss: enough"), "breaker"),
        (Judged("taken", "closed, and not turned: a long position is held again"), "before"),
        (Judged("taken", "to be closed, and not turned: halted"), "breaker"),
        (Judged("taken", decided=CLOSES), "before"),
        (Judged("taken", decided=CLOSES._replace(bound="the risk")), None),
        (Judged("taken"), None),
        (None, None),
    ],
)
def test_what_only_live_traded(paper: Judged | None, cause: str | None) -> None:
    (row,) = rows_of([PAPER], [], {BTC: ONE}, Stored({"s1": heard(paper=paper)}))
    assert list(row.by_cause) == ([] if cause is None else [cause])
    assert (row.live, row.paper) == (PAPER.result, None)
    add_up(row)


@pytest.mark.parametrize(
    ("who", "verdicts", "cause"),
    [
        ("live", (Judged("taken"), Judged("skipped", "held by turtle 1h")), "before"),
        ("paper", (Judged("expired", "seen late"), Judged("taken")), "late"),
        ("live", (Judged("taken"), Judged("taken")), None),
    ],
)
def test_an_end_that_only_one_of_them_had(who: str, verdicts: tuple[Judged, Judged], cause: str | None) -> None:
    early = deal(leg("entry", "100"), leg("exit", "103", signal="s3"), ended=MINUTE)
    signal = heard(verdicts[0].verdict, verdicts[0].reason, id="s3", paper=verdicts[1])
    live, paper = (early, PAPER) if who == "live" else (PAPER, early)
    (row,) = rows_of([live], [paper], {BTC: ONE}, Stored({"s3": signal}))
    assert list(row.by_cause) == ([] if cause is None else [cause])
    add_up(row)


def test_an_add_that_only_one_of_them_had_is_its_signals() -> None:
    add = leg("add", "105", signal="s4")
    more = replace(
        PAPER, entering=[*PAPER.entering, add], closing=[leg("exit", "110", quantity="2", signal="s2")],
        gross=Decimal(15),
    )  # fmt: skip
    late = heard("expired", "seen late", id="s4", paper=Judged("taken"))
    (row,) = rows_of([PAPER], [more], {BTC: ONE}, Stored({"s4": late}))
    assert {name: str(money) for name, money in row.by_cause.items()} == {"late": "-4.892500000000"}
    add_up(row)


# What followed from a difference before

KEPT_OUT = Judged("skipped", "held by rule 1m")
TAKEN = Judged("taken")
THEN = BEGIN + 5 * MINUTE


def later(deal_: Deal, **more: Any) -> Deal:
    """Another position, after the first began."""
    return replace(deal_, signal="s9", strategy="other", opened_at=THEN, closed_at=THEN + HOUR, **more)


NEXT = later(PAPER, entering=[leg("entry", "100", signal="s9")])
LEFT_EARLY = deal(leg("entry", "100"), leg("flatten", "105", signal=None), ended=MINUTE)
LEFT_LATE = deal(leg("entry", "100"), leg("exit", "110", signal="s2", late=20_000), ended=6 * MINUTE)
LEFT_IN_TIME = deal(leg("entry", "100"), leg("exit", "110", signal="s2"), ended=5 * MINUTE)
HALF = replace(stop("94.9", "95"), quantity=Decimal("0.5"), fee=Decimal("0.023725"))
IN_PARTS = replace(
    STOPPED,
    closing=[HALF, replace(HALF, order="f1", leg="flatten", reached="stop", price=Decimal("94.7"))],
    gross=Decimal("-5.2"),
    closed_at=BEGIN + 6 * MINUTE,
)
"""At its stop, as `STOPPED` is, but a half of it by the executor."""


@pytest.mark.parametrize(
    ("live", "paper", "verdicts", "cause"),
    [
        # the backtest holds what live missed, or live what the backtest did
        ([NEXT], [PAPER], {"s1": (Judged("expired", "seen late"), TAKEN), "s9": (TAKEN, KEPT_OUT)}, "after-late"),
        ([PAPER], [NEXT], {"s1": (TAKEN, Judged("skipped", "breaker x: enough")), "s9": (KEPT_OUT, TAKEN)},
         "after-breaker"),
        # both had it, and one has left it
        ([LEFT_EARLY, NEXT], [PAPER], {"s1": (TAKEN, TAKEN), "s9": (TAKEN, KEPT_OUT)}, "after-command"),
        ([LEFT_LATE], [LEFT_IN_TIME, NEXT], {"s1": (TAKEN, TAKEN), "s9": (KEPT_OUT, TAKEN)}, "after-late"),
        ([IN_PARTS], [replace(STOPPED, closed_at=THEN), NEXT], {"s1": (TAKEN, TAKEN), "s9": (KEPT_OUT, TAKEN)},
         "after-latency"),
        # there is room for one of two
        ([NEXT], [replace(PAPER, symbol="ETHUSDT")],
         {"s1": (Judged("expired", "seen late"), TAKEN),
          "s9": (TAKEN, Judged("skipped", "5 positions are open, and 5 is the most"))}, "after-late"),
        # nothing that is stored says why the first was missed; or nothing was held
        ([NEXT], [PAPER], {"s1": (TAKEN, TAKEN), "s9": (TAKEN, KEPT_OUT)}, None),
        ([NEXT], [], {"s9": (TAKEN, KEPT_OUT)}, "before"),
        ([NEXT], [replace(PAPER, symbol="ETHUSDT")],
         {"s1": (Judged("expired", "seen late"), TAKEN), "s9": (TAKEN, KEPT_OUT)}, "before"),
    ],
)  # fmt: skip
def test_what_followed_from_a_difference_counts_by_its_name(
    live: list[Deal], paper: list[Deal], verdicts: dict[str, tuple[Judged, Judged]], cause: str | None
) -> None:
    signals = {
        name: heard(id=name, at=THEN if name == "s9" else BEGIN, live=mine, paper=other)
        for name, (mine, other) in verdicts.items()
    }
    rows = rows_of(live, paper, {BTC: ONE, "ETHUSDT": ONE}, Stored(signals))
    (row,) = [one for one in rows if one.signal == "s9"]
    assert list(row.by_cause) == ([] if cause is None else [cause])
    assert bool(row.rest) is (cause is None)
    for one in rows:
        add_up(one)


@pytest.mark.parametrize(
    ("why", "purpose"),
    [
        ("its stop at 95 was reached", "stop"),
        ("the price is beyond its stop already", "stop"),
        ("its take-profit at 120 was reached", "take_profit"),
        ("asked for by a person", "flatten"),
        ("its stop was refused: -4045: reached max stop order limit", "flatten"),
        ("BTCUSDT had no stop since 12:00, longer than 60 s", "flatten"),
        (None, "flatten"),
    ],
)
def test_what_the_executor_closed_is_of_what_its_journal_says(why: str | None, purpose: str) -> None:
    """Also where the price that it got stood on the other side of that again."""
    entry = leg("entry", "100", stop=Decimal(95), target=Decimal(120))
    (closed,) = by_guards(1, [entry], [leg("flatten", "96", why=why)])
    assert closed.purpose == purpose


def test_what_left_at_a_stop_in_two_parts_is_seen_from_its_trigger_as_one() -> None:
    (row,) = rows_of([IN_PARTS], [STOPPED], {BTC: ONE}, Stored())
    assert (dict(row.by_cause), row.rest) == ({"slippage": Decimal("-0.09995"), "fee": Decimal("-0.00005")}, 0)
    add_up(row)


def test_a_step_that_followed_from_an_earlier_step_counts_by_its_name() -> None:
    missed, made = leg("add", "104", signal="s4"), replace(leg("add", "105", signal="s9"), at=THEN)
    left = [leg("exit", "110", quantity="2", signal="s2")]
    live, paper = (
        replace(PAPER, entering=[*PAPER.entering, one], closing=left, gross=20 - (one.price - 100))
        for one in (made, missed)
    )
    signals = {
        "s4": heard("expired", "seen late", id="s4", kind="add", paper=TAKEN),
        "s9": heard(id="s9", kind="add", at=THEN, paper=Judged("skipped", "2.00 units are held, 2 is the most")),
    }
    (row,) = rows_of([live], [paper], {BTC: ONE}, Stored(signals))
    assert (list(row.by_cause), row.rest) == (["late", "after-late"], 0)


def test_a_chain_of_positions_is_led_back_to_its_beginning() -> None:
    third = replace(NEXT, signal="s10", strategy="rule", entering=[leg("entry", "100", signal="s10")],
                    opened_at=THEN + MINUTE)  # fmt: skip
    signals = {
        "s1": heard(live=Judged("expired", "seen late"), paper=TAKEN),
        "s9": heard(id="s9", at=THEN, live=TAKEN, paper=KEPT_OUT),
        "s10": heard(id="s10", at=THEN + MINUTE, live=Judged("skipped", "held by other 1m"), paper=TAKEN),
    }
    rows = rows_of([NEXT], [replace(PAPER, closed_at=THEN + 30_000), third], {BTC: ONE}, Stored(signals))
    assert [list(one.by_cause) for one in rows] == [["late"], ["after-late"], ["after-late"]]
    assert "held by other 1m; it began with BTCUSDT long of rule at" in rows[2].costs[0].words


def firsts(found: Explained) -> set[str]:
    """The causes, those too after which others came."""
    return {one.removeprefix("after-") for one in found.by_cause}


def add_up(row: Row) -> None:
    assert row.difference == sum((one.money for one in row.costs), Decimal(0)) + row.rest
    assert all(means(one.cause) for one in row.costs)


# The engine itself, live and on paper

CHATTER = (minutes(wild(1_500, seed=4)), chatter(1_500, seed=4))
DUE = [Due(BEGIN + hours * HOUR, Decimal("0.0003"), Decimal(100_000), known=True) for hours in (7, 15)]
PAST = replace(asked(*CHATTER), funding={BTC: DUE})

CHEAPER = contract(BTC).model_copy(update={"taker_fee": Decimal("0.0002")})


def assumed(**changes: Any) -> Any:
    return replace(PAST, assumptions=replace(PAST.assumptions, **changes))


@pytest.mark.parametrize(
    ("live", "causes"),
    [
        (PAST, set[str]()),
        (assumed(signal_delay=30 * SECOND), {"late", "level", "slippage", "size", "funding"}),
        (assumed(equity=Decimal(11_000)), {"size", "funding"}),
        (replace(PAST, symbols=[CHEAPER]), {"fee", "size", "funding"}),
        (replace(PAST, funding={BTC: [DUE[0]._replace(rate=Decimal("0.001"))]}), {"funding", "size"}),
        (replace(PAST, trading={BTC: TradingView(strategies=("others",))}), {"skipped"}),
    ],
)  # fmt: skip
def test_a_run_that_went_otherwise_is_explained_without_a_rest(live: Any, causes: set[str]) -> None:
    rows, _ = explained(live, PAST)
    found = Explained("USDT", PAST.start, PAST.end, rows)
    assert (found.rest, firsts(found) - causes) == (0, set())
    assert found.live - found.paper == sum(found.by_cause.values(), Decimal(0))
    assert not causes or found.by_cause
    for row in rows:
        add_up(row)


def opposed(last: int, delay: int, other: Kind = "trial") -> Any:
    """Two strategies with books hold a contract against each other; where one's stop is reached, it closes what they
    come to, and the executor closes the rest of that one's at the market."""
    way = [(100_080, max(100_080, last), min(100_080, last), last), *flat(last, 5)]
    market = [*flat(100_000, 3), (100_000, 100_080, 100_000, 100_080), *flat(100_080, 3), *way]
    long, short = (said(3, kind, side, 100_000) for kind, side in (("entry", "long"), (other, "short")))
    short = replace(short, strategy="other", id=f"{short.id} other")
    question = asked(minutes(market), [long, short])
    policy = replace(question.policy, portfolio=Portfolio(books=True))
    return replace(question, policy=policy, assumptions=replace(question.assumptions, signal_delay=delay))


@pytest.mark.parametrize(
    ("strategy", "other", "last", "delays", "level"),
    [
        ("rule", "trial", 99_700, (30_000, 500), "0.74722620"),
        ("rule", "trial", 99_810, (30_000, 500), "-0.9803486"),
        ("rule", "trial", 99_810, (500, 30_000), "0.9803486"),
        ("other", "trial", 100_400, (30_000, 500), "-0.18699345"),
        ("other", "entry", 100_400, (500, 30_000), "0.7479738"),
    ],
)
def test_what_the_executor_closed_because_a_stop_was_reached_is_of_that_stop(
    strategy: str, other: Kind, last: int, delays: tuple[int, int], level: str
) -> None:
    live, paper = (opposed(last, delay, other) for delay in delays)
    rows, _ = explained(live, paper)
    (row,) = (one for one in rows if one.strategy == strategy)
    assert (row.rest, set(row.by_cause) - {"late", "latency"}) == (0, {"level", "slippage"})
    assert row.by_cause["level"] == Decimal(level)
    add_up(row)


def test_of_two_that_hold_as_much_against_each_other_nobody_closed_by_hand_what_has_no_stop() -> None:
    live = opposed(99_900, 500, "entry")
    rows, _ = explained(live, live)
    assert {one.strategy: (one.closed_at, dict(one.by_cause), one.rest) for one in rows} == {
        "rule": (None, {}, 0), "other": (None, {}, 0),
    }  # fmt: skip


def test_what_live_earned_is_what_its_wallet_gained() -> None:
    rows, _ = explained(PAST, PAST)
    gained = ExactRun(PAST).run().equity[-1].equity - PAST.assumptions.equity
    assert sum(row.live or 0 for row in rows) == gained
    assert len(rows) > 10


def test_contracts_of_a_coin_add_up_in_that_coin() -> None:
    past = asked(*CHATTER, product=CM)
    past = replace(past, funding={BTC: DUE})
    rows, _ = explained(replace(past, assumptions=replace(past.assumptions, signal_delay=30 * SECOND)), past)
    assert sum(abs(row.rest) for row in rows) == 0
    assert any(row.by_cause for row in rows)
    for row in rows:
        add_up(row)


SPOTTED = asked(*CHATTER, product=SPOT, trading=TARGET)
CHEAP_PAIR = pair(BTC).model_copy(update={"taker_fee": Decimal("0.00075")})


@pytest.mark.parametrize(
    ("live", "causes"),
    [
        (SPOTTED, set[str]()),
        (
            replace(SPOTTED, assumptions=replace(SPOTTED.assumptions, signal_delay=30 * SECOND)),
            {"late", "level", "slippage", "size", "crumbs", "rounding"},
        ),
        (
            replace(SPOTTED, assumptions=replace(SPOTTED.assumptions, equity=EQUITY[SPOT.name] + 777)),
            {"size", "crumbs", "rounding", "slippage"},
        ),
        (
            replace(SPOTTED, symbols=[CHEAP_PAIR]),
            {"fee", "size", "crumbs", "rounding"},
        ),
    ],
)  # fmt: skip
def test_coins_are_explained_to_the_last_digit_of_the_money(live: Any, causes: set[str]) -> None:
    rows, _ = explained(live, SPOTTED)
    found = Explained("USDT", SPOTTED.start, SPOTTED.end, rows)
    assert ([one.rest for one in rows if one.rest], firsts(found) - causes) == ([], set())
    assert found.live - found.paper == sum(found.by_cause.values(), Decimal(0))
    assert not causes or {"size", "fee", "late"} & found.by_cause.keys()
    assert len(rows) > 5
    record = ExactRun(live).run()
    told = trades_of_coins(record, live)
    assert [one.live for one in rows if one.live is not None and one.closed_at] == [
        rounded(one.profit) for one in told if one.closed_at
    ]


QUIET = [*flat(100_000, 5), *flat(100_200, 5), *flat(100_400, 10)]
ASKED = asked(minutes(QUIET), [said(3, "entry", "long", 100_000), said(8, "exit", "long", 100_200)])


def by_journal(change: Callable[[list[Order]], list[Order]]) -> Row:
    """The backtest's own orders as the journal, changed."""
    record = ExactRun(ASKED).run()
    (row,) = by_paper(change(journal_of(record)), heard_of(ASKED, record), ASKED, ASKED)[0]
    add_up(row)
    return row


def test_a_position_that_somebody_closed_by_hand_ended_when_its_stop_was_taken_away() -> None:
    at = BEGIN + 6 * MINUTE + 30 * SECOND

    def closed(orders: list[Order]) -> list[Order]:
        gone = {"state": "cancelled", "updated_at": to_datetime(at), "filled": Decimal(0)}
        return [one.model_copy(update=gone if one.leg == "stop" else {}) for one in orders if one.leg != "exit"]

    row = by_journal(closed)
    assert (list(row.by_cause), row.rest, row.closed_at) == (["hand"], 0, at)
    assert "counted at 100200" in row.costs[0].words


def test_a_position_whose_stop_stands_is_still_held() -> None:
    row = by_journal(lambda orders: [
        one.model_copy(update={"state": "accepted"} if one.leg == "stop" else {}) for one in orders if one.leg != "exit"
    ])  # fmt: skip
    assert (row.closed_at, row.live is not None, row.rest != 0) == (None, True, True)


def test_an_order_whose_price_is_not_known_yet_has_no_cause_by_its_price() -> None:
    row = by_journal(lambda orders: [
        one.model_copy(update={"average_price": None} if one.leg == "entry" else {}) for one in orders
    ])  # fmt: skip
    assert (dict(row.by_cause), row.rest) == ({}, row.difference)


def test_what_was_closed_of_something_older_is_left_out() -> None:
    record = ExactRun(ASKED).run()
    only_exit = [one for one in journal_of(record) if one.leg == "exit"]
    rows, _ = by_paper(only_exit, heard_of(ASKED, record), ASKED, ASKED)
    assert [row.live for row in rows] == [None]


def test_a_second_position_after_one_that_ended_by_hand_is_another() -> None:
    again = asked(minutes(QUIET), [said(3, "entry", "long", 100_000), said(12, "entry", "long", 100_400)])
    record = ExactRun(again).run()
    (first,) = [one for one in journal_of(record) if one.leg == "entry"]
    stops = [one for one in journal_of(record) if one.leg == "stop"]
    left = to_datetime(BEGIN + 7 * MINUTE)
    gone = [one.model_copy(update={"state": "cancelled", "updated_at": left, "filled": Decimal(0)}) for one in stops]
    at = to_datetime(BEGIN + 12 * MINUTE)
    filled = [Transition(state="filled", at=at + timedelta(seconds=1), by="stream")]
    later = {"id": "later", "signal": again.signals[1].id, "created_at": at, "updated_at": at, "history": filled}
    rows, _ = by_paper([first, *gone, first.model_copy(update=later)], heard_of(again, record), again, again)
    assert [row.orders for row in rows if row.live is not None] == [(first.id,), ("later",)]


def test_decided_at_the_price_of_its_notional() -> None:
    made = Decided(0, Decimal("0.3"), Decimal("30000.3") * Decimal("0.3"), Decimal(1))
    assert decided_at(made, Decimal("0.3"), ONE) == Decimal("30000.3")
    assert decided_at(made, Decimal("0.2"), ONE) is None, "of another order"


def test_slippage_is_by_symbol_and_size_and_worse_is_positive() -> None:
    bought = deal(leg("entry", "100.5", decided=Decimal(100)), stop("94.05", "95"))
    more = deal(leg("entry", "100.1", decided=Decimal(100)), leg("hand", "110", signal=None, decided=None))
    large = deal(leg("entry", "100", quantity="300"), leg("exit", "110", quantity="300", signal="s2"))
    live, paper = (fills_of(deals, {BTC: ONE}) for deals in ([bought, more, large], [PAPER]))
    small, big = slippages(live, paper)
    assert (small.symbol, small.size, small.orders, small.median, small.assumed) == (BTC, "under 1,000", 3, 50, 0)
    assert (small.low, small.high) == (pytest.approx(30), pytest.approx(75))
    assert (big.size, big.orders, big.median, big.assumed) == ("under 50,000", 2, 0, None)
    assert slippages([], paper) == []


def filled(symbol: str, count: int, points: str, worth: str = "1000") -> list[Filled]:
    return [Filled(symbol, Decimal(worth), Decimal(points))] * count


@pytest.mark.parametrize(
    ("fills", "found"),
    [
        ([], None),
        (filled("A", ENOUGH - 1, "2"), None),
        (filled("A", ENOUGH, "2.006"), ("2.01", {"A": "2.01"})),
        (filled("A", ENOUGH, "2") + filled("B", 5, "9"), ("2.00", {"A": "2.00"})),
        (filled("A", 20, "2") + filled("B", 19, "9"), ("2.00", {})),
        (filled("A", ENOUGH, "2") + filled("B", ENOUGH + 1, "3"), ("3.00", {"A": "2.00", "B": "3.00"})),
        # better than the book is luck; and what a backtest's book asks of a large order comes on top by itself
        (filled("A", ENOUGH, "-3"), ("0.1", {"A": "0.1"})),
        (filled("A", ENOUGH, "2", worth="50000"), ("2.00", {"A": "2.00"})),
        (filled("A", ENOUGH, "2", worth="100000"), ("1.50", {"A": "1.50"})),
        (filled("A", ENOUGH, "2", worth="125000"), ("1.20", {"A": "1.20"})),
    ],
)  # fmt: skip
def test_what_a_backtest_has_to_assume_to_fill_as_live_did(fills: list[Filled], found: Any) -> None:
    expected = None if found is None else (Decimal(found[0]), {name: Decimal(one) for name, one in found[1].items()})
    assert fit(fills) == expected


def test_the_page_has_a_row_for_each_cause() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()
    assert re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == list(MEANINGS)
