"""The compiled rules against the executor itself, trade by trade, on random markets under random settings.
`BACKTEST_SEEDS` makes them so many more of each kind."""

import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.execution.engine.state import SignalView, TradingView
from pipeline.research.backtest.asked import Asked, Change
from pipeline.research.backtest.assumptions import Fitted, Inside
from pipeline.research.backtest.funding import Due, schedule_of
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.run import Outcome, run
from pipeline.research.backtest.summary import Results, results_of
from pipeline.research.backtest.trades import Trade
from pipeline.settings import Portfolio
from pipeline.timeline import DAY, HOUR, MINUTE, to_datetime
from schemas.funding import Settlement
from schemas.signals import Kind
from schemas.symbols import Symbol
from tests.contracts import contract
from tests.research.stage import BEGIN, LISTED, TARGET, Candle, asked, at_market, chatter, flat, minutes, said, wild

MORE = int(os.environ.get("BACKTEST_SEEDS", "0"))
CENT = {UM.name: 1e-5, CM.name: 1e-9, SPOT.name: 1e-5}
"""So near are sums of money: of dollars, and of a coin, of which the books know eight decimals."""
NAMES = {
    UM.name: ("AUSDT", "BUSDT", "CUSDT"), CM.name: ("BTCUSD_PERP", "BTCUSD_260626", "BTCUSD_260925"),
    SPOT.name: ("AUSDT", "BUSDT", "CUSDT"),
}  # fmt: skip
STEPS = {
    UM.name: ("0.001", "0.005", "0.01"), CM.name: ("1", "2", "4"), SPOT.name: ("0.00001", "0.0001", "0.001"),
}  # fmt: skip
SHARES = (None, None, {"rule": Decimal(25), "other": Decimal(50)}, {"rule": Decimal("70.5")})
CAPS = {
    "gross_percent": (10, 40), "net_percent": (10, 40), "side_percent": (10, 40), "group_percent": (10, 40),
    "margin_percent": (2, 10), "open_risk_percent": (Decimal("0.05"), Decimal("0.3")),
}  # fmt: skip
"""Such that each of them binds now and then."""
SLIPPAGE = Fitted(
    points=Decimal("1.83"), symbols={"AUSDT": Decimal("4.07")}, orders=30, since=BEGIN, until=BEGIN + HOUR, by="ana"
)
LEAST = {UM.name: (5, 100, 1_500), CM.name: (0, 0), SPOT.name: (5, 50, 300)}


def told(trade: Trade) -> tuple[Any, ...]:
    return (
        trade.symbol, trade.side, trade.strategy, trade.interval, trade.signal, trade.opened_at, trade.closed_at,
        trade.entries, trade.reason, trade.decided_by, trade.orders[0],
    )  # fmt: skip


def money(trade: Trade) -> list[float]:
    return [float(one) for one in (trade.quantity, trade.gross, trade.fees, trade.funding)]


def require_equal(one: Outcome, other: Outcome, asked: Asked) -> None:
    cent = CENT[asked.product.name]
    assert (one.engine, other.engine) == ("fast", "exact")
    for fast, exact in zip(one.trades, other.trades, strict=True):
        assert told(fast) == told(exact)
        assert float(fast.entry_price) == pytest.approx(float(exact.entry_price), abs=1e-5)
        assert money(fast) == pytest.approx(money(exact), abs=cent)
    assert (one.signals, one.taken) == (other.signals, other.taken)
    assert one.curve.close == pytest.approx(other.curve.close, abs=cent)
    assert one.curve.worst == pytest.approx(other.curve.worst, abs=cent)
    assert one.weigh().daily.tolist() == one.curve.worth().daily.tolist()
    assert asdict(one.weigh()) | {"times": 0, "daily": 0} == asdict(one.curve.worth()) | {"times": 0, "daily": 0}
    assert one.weigh().times.tolist() == one.curve.worth().times.tolist()
    results = results_of(one.trades, asked.sizes)
    for field in fields(Results):
        assert np.array_equal(getattr(one.count(), field.name), getattr(results, field.name)), field.name
    assert one.turnover == pytest.approx(other.turnover)


def both(question: Asked) -> Outcome:
    one, other = run(question), run(question, exact=True)
    assert len(one.outcomes) == len(other.outcomes)
    for fast, exact in zip(one.outcomes, other.outcomes, strict=True):
        require_equal(fast, exact, question)
    return other.outcome


def crashed(candles: list[Candle], dice: random.Random) -> list[Candle]:
    """The same, with a jump somewhere."""
    at, by = dice.randrange(200, len(candles) - 200), dice.choice([0.8, 0.95, 1.05, 1.2])
    moved = [
        (round(o * by, 1), round(h * by, 1), round(low * by, 1), round(c * by, 1)) for o, h, low, c in candles[at:]
    ]
    return candles[:at] + moved


def settled(market: Minutes, dice: random.Random) -> list[Due]:
    """Settlements at an interval of their own, with rates of either sign, counted by a mark price or by the last."""
    hours = dice.choice([1, 4, 8])
    stored = [
        Settlement(
            t=to_datetime(time + dice.choice([0, 3])),
            rate=Decimal(dice.randrange(-30, 60)).scaleb(-5),
            mark=dice.choice([None, Decimal(99_000)]),
        )
        for time in range(market.start + HOUR, market.end + 1, hours * HOUR)
    ]
    return schedule_of(stored, market.start, market.end)


def ruled(symbol: str, step: Decimal, dice: random.Random, product: Product = UM) -> Symbol:
    """The contract under other rules, its fee among them."""
    other = {
        "step_size": step,
        "market_step_size": step,
        "min_quantity": step,
        "min_notional": Decimal(dice.choice(LEAST[product.name])),
        "tick_size": Decimal(dice.choice(["0.1", "1"])),
    }
    one = LISTED[product.name](symbol)
    rules = one.model_copy(update={"taker_fee": dice.choice([None, Decimal("0.0004"), Decimal("0.001")])})
    return rules.model_copy(update={"filters": one.filters and one.filters.model_copy(update=other)})


def changed(markets: Mapping[str, Minutes], dice: random.Random, product: Product) -> list[Change]:
    """Now and then the rules are others. Lots become finer: what is held of coarser ones is still some of them."""
    found = []
    for symbol, one in markets.items():
        times = [dice.randrange(len(one.close)) for _ in range(dice.choice([0, 0, 1, 3]))]
        steps = sorted(dice.choice(STEPS[product.name]) for _ in range(len(times) + 1))
        for at, step in zip([-50, *sorted(times)], reversed(steps), strict=True):
            if times:
                found.append(Change(one.start + at * MINUTE, ruled(symbol, Decimal(step), dice, product)))
    return sorted(found, key=lambda one: one.at)


def existed(markets: Mapping[str, Minutes], dice: random.Random) -> tuple[dict[str, Minutes], dict[str, int]]:
    """Now and then one is listed later, or its trading ends before that of the others; and when that was."""
    found, endings = dict(markets), {}
    for name, one in markets.items():
        length = len(one.close)
        begin, end = dice.choice([0, 0, 0, length // 3]), dice.choice([length, length, length * 2 // 3, length - 400])
        columns = {each: getattr(one, each)[begin:end] for each in ("open", "high", "low", "close", "there")}
        found[name] = replace(one, start=one.opened(begin), **columns)
        if end < length:
            endings[name] = one.opened(end)
    return found, endings


def capped(seed: int) -> Portfolio:
    """One cap of all positions together after the other, so that none hides behind another one; now and then two."""
    dice, names = random.Random(seed + 1_300), [*sorted(CAPS), None, None]
    chosen = {names[seed % len(names)], dice.choice(names) if dice.random() < 0.2 else None} - {None}
    return Portfolio(**{name: dice.choice(CAPS[name]) for name in sorted(chosen)})


def remembered(markets: Mapping[str, Minutes], seed: int) -> dict[str, Minutes]:
    """The same with nine days before them, in which the first two symbols went together."""
    days = 9 * DAY // MINUTE
    before = {name: minutes(wild(days, seed + number // 2), name) for number, name in enumerate(markets)}
    columns = ("open", "high", "low", "close", "there")
    return {
        name: replace(
            one,
            start=one.start - days * MINUTE,
            **{column: np.append(getattr(before[name], column), getattr(one, column)) for column in columns},
        )
        for name, one in markets.items()
    }


def question(seed: int, product: Product = UM) -> Asked:
    """One to three symbols and two strategies, under settings that bind."""
    dice = random.Random(seed)
    count = dice.choice([1_020, 2_000])  # the shorter ends as it is settled
    markets: dict[str, Minutes] = {}
    signals: list[SignalView] = []
    for number, symbol in enumerate(NAMES[product.name][: dice.choice([1, 1, 2, 3])]):
        candles = wild(count, seed * 10 + number)
        candles = crashed(candles, dice) if dice.random() < 0.3 else candles
        markets[symbol] = minutes(candles, symbol)
        for one in chatter(count, seed * 10 + number, symbol):
            strategy = dice.choice(["rule", "rule", "other"])
            signals.append(replace(at_market(one, candles), strategy=strategy, id=f"{one.id}:{strategy}"))
    settings: dict[str, Any] = {
        "unit_percent": dice.choice([1, 3, 10]),
        "leverage": dice.choice([1, 3, 20, 50]),
        "daily_loss_percent": Decimal(dice.choice(["0.3", "1", "5"])),
        "daily_profit_percent": dice.choice([None, None, Decimal("0.2"), Decimal(1)]),
        "turn": dice.choice(["trials", "entries"]),
        "max_open_positions": dice.choice([1, 2, 5]),
        "max_slippage_percent": Decimal(dice.choice(["0.05", "0.5"])),
        "stop_atr": dice.choice([1, 2, 5]),
        "take_profit_atr": dice.choice([None, 3]),
    }
    trading = dice.choice(
        [None, TARGET, TradingView(stop_percent=Decimal("0.3")), TradingView(max_position=Decimal(900))]
    )
    found = asked(markets, signals, trading=trading, product=product, **settings)
    found = replace(found, funding={name: settled(one, dice) for name, one in markets.items() if product is not SPOT})
    found = replace(found, changes=changed(markets, random.Random(seed + 500), product))
    found = replace(found, shares=random.Random(seed + 900).choice(SHARES))
    there, endings = existed(markets, random.Random(seed + 1_702))
    heard = [one for one in signals if there[one.symbol].start < one.at <= there[one.symbol].end]
    caps = capped(seed)
    if caps.group_percent is not None:
        there = remembered(there, seed)
    found = replace(found, minutes=there, endings=endings, signals=heard)
    found = replace(found, policy=replace(found.policy, portfolio=caps))
    slippage = random.Random(seed + 1_300).choice([None, SLIPPAGE])
    return replace(found, assumptions=replace(found.assumptions, inside=dice.choice(list(Inside)), slippage=slippage))


@pytest.mark.parametrize(("product", "part"), [(UM, 0), (UM, 1), (UM, 2), (UM, 3), (CM, 5), (SPOT, 8)], ids=repr)
def test_the_compiled_rules_do_what_the_executor_does(product: Product, part: int) -> None:
    met: Counter[str] = Counter()
    for seed in (*range(part * 8, part * 8 + 8), *range(1_000 * (part + 1), 1_000 * (part + 1) + MORE)):
        outcome = both(question(seed, product))
        met.update(one.reason for one in outcome.trades)
        met.update(outcome.left_out.keys())
    assert met["stop"] > (30 if product is not SPOT else 20), "where nothing is sold short, there are half as many"
    assert met["signal"] > 5
    assert met["take-profit"] > 5
    assert any("daily-loss" in reason for reason in met)
    assert any("no share of the equity" in reason for reason in met)
    assert any("of the equity, n is the most" in reason for reason in met), "a cap of all positions together"


@pytest.mark.parametrize("side", ["long", "short"])
def test_every_hand_made_end_is_the_same(side: Any) -> None:
    for candle in [
        (100_000, 100_050, 99_500, 99_600), (99_000, 100_400, 98_000, 100_300), (100_000, 100_900, 99_950, 100_800),
        (101_000, 101_100, 100_900, 101_000), (100_000, 100_900, 99_000, 100_000), (100_000, 100_200, 99_800, 100_000),
    ]:  # fmt: skip
        market = minutes([*flat(100_000, 5), candle, *flat(candle[3], 3)])
        both(asked(market, [said(2, "entry", side, 100_000)], trading=TARGET))


@pytest.mark.parametrize("opens", [100_000, 100_300])
def test_the_target_of_the_day_is_reached_at_the_price_that_is_heard_before_its_fill(opens: float) -> None:
    """What the sale costs takes the account below it again, and the day is over all the same."""
    candles = [*flat(100_000, 5), (opens, 100_400, opens, 100_400), *flat(100_400, 20)]
    says = [said(2, "entry", "long", 100_000), said(10, "entry", "long", 100_400)]
    question = asked(minutes(candles), says, trading=TARGET)
    (first, _) = both(question).trades
    before, after = float(first.gross) / 100, float(first.profit) / 100
    least = Decimal(str(round((before + after) / 2, 4)))
    outcome = both(asked(minutes(candles), says, trading=TARGET, daily_profit_percent=least))
    assert [one.closed_at for one in outcome.trades] == [first.closed_at]
    assert outcome.curve.close[-1] < 10_000 * (1 + float(least) / 100)


def test_what_the_rules_do_not_know_the_executor_runs() -> None:
    market, signals = minutes(wild(400, 1)), chatter(400, 1)
    found = run(asked(market, signals))
    assert (found.outcome.engine, found.assumed["engine"]) == ("fast", "the executor's rules, compiled")
    forced = run(asked(market, signals), exact=True)
    assert (forced.outcome.engine, forced.assumed["engine"]) == ("exact", "the executor itself")
    target, chosen = TradingView(daily_profit_percent=Decimal(1)), TradingView(strategies=("rule",))
    holed = minutes([*flat(100_000, 3), None, *flat(100_000, 5)])
    for question, why in (
        (asked(market, signals, entry_order="limit"), "limit entries"),
        (asked(market, signals, margin_type="crossed"), "crossed margin"),
        (asked(market, signals, trading=target), "daily target of a symbol"),
        (asked(market, signals, trading=chosen), "strategies or intervals of a symbol"),
        (asked(holed, [said(3, "entry", "long", 100_000)]), "signal before a hole"),
    ):
        found = run(question)
        assert found.outcome.engine == "exact"
        assert found.assumed["engine"].startswith(f"the executor itself, because the compiled rules know no {why}")


@pytest.mark.parametrize("exact", [False, True])
def test_a_fee_and_a_lot_are_those_of_their_day(exact: bool) -> None:
    market = minutes(flat(100_000, 40))
    says: list[tuple[int, Kind]] = [(2, "entry"), (5, "exit"), (20, "entry"), (25, "exit")]
    signals = [said(at, kind, "long", 100_000) for at, kind in says]
    one = contract()
    coarse = one.filters and one.filters.model_copy(update={"market_step_size": Decimal("0.005")})
    later = one.model_copy(update={"filters": coarse, "taker_fee": Decimal("0.001")})
    found = replace(asked(market, signals), changes=[Change(BEGIN + 20 * MINUTE, later)])
    before, after = run(found, exact=exact).outcome.trades
    turned = [
        float(each.fees / (each.quantity * (each.entry_price + (each.exit_price or 0)))) for each in (before, after)
    ]
    assert turned == pytest.approx([0.0005, 0.001], rel=1e-4)
    assert before.quantity % Decimal("0.005") != 0
    assert after.quantity % Decimal("0.005") == 0


def test_what_is_held_in_finer_lots_than_the_new_ones_is_the_executors() -> None:
    market = minutes(flat(100_000, 40))
    coarse = ruled("BTCUSDT", Decimal("0.05"), random.Random(1))
    signals = [said(2, "entry", "long", 100_000), said(25, "exit", "long", 100_000)]
    found = replace(asked(market, signals), changes=[Change(BEGIN + 20 * MINUTE, coarse)])
    assert run(found).outcome.engine == "exact"


def test_a_run_without_signals_is_a_flat_line() -> None:
    outcome = run(asked(minutes(flat(100_000, 20)), [])).outcome
    assert (outcome.trades, outcome.summary.return_pct, outcome.summary.max_drawdown_pct) == ([], 0.0, 0.0)


def test_a_part_of_a_run_is_the_beginning_of_the_whole_and_trades_are_what_the_wallet_changed_by() -> None:
    candles, signals = wild(4_000, 7), chatter(4_000, 7)
    signals += [said(3_990, "exit", side, candles[3_989][3]) for side in ("long", "short")]
    whole = run(asked(minutes(candles), signals)).outcome
    until = BEGIN + 2_000 * MINUTE
    part = run(asked(minutes(candles[:2_000]), [one for one in signals if one.at < until])).outcome
    closed = [one for one in part.trades if one.closed_at is not None]
    assert (whole.engine, part.engine, len(closed) > 20) == ("fast", "fast", True)
    assert closed == list(whole.trades[: len(closed)])
    assert all(one.closed_at is not None for one in whole.trades)
    unit = 1e-8 * len(whole.trades)
    assert float(sum(one.profit for one in whole.trades)) == pytest.approx(whole.curve.close[-1] - 10_000, abs=4 * unit)


def test_a_minute_takes_little_room_and_a_price_that_does_not_fit_is_refused() -> None:
    one = minutes(flat(100_000, 1_000))
    assert sum(getattr(one, name).nbytes for name in ("open", "high", "low", "close", "there")) == 17 * 1_000
    with pytest.raises(
        ValueError, match=r"BTCUSDT is at 300000000\.000000: more than 2,147,483,647 of its ticks of 0\.1"
    ):
        minutes(flat(300_000_000))
