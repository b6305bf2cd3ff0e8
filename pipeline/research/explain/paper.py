"""The same positions as the exact backtest traded them, from what its exchange booked. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import DECIDED, ENTERING, DecisionView, OrderRecord
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.by_book import by_book
from pipeline.research.backtest.coins import trades_of_coins
from pipeline.research.backtest.record import Record
from pipeline.research.backtest.trades import Trade, trades_of
from pipeline.research.explain.deals import ZERO, Deal, Leg, by_guards, crumbs, gained, gained_of_coins, left_of_coins
from pipeline.research.explain.heard import Decided, Heard, Judged
from pipeline.research.explain.live import decided_at
from pipeline.simulator.spot.ledger import Fill as CoinFill
from pipeline.simulator.venue.ledger import Fill
from schemas import orders as journal


@dataclass(frozen=True, slots=True)
class Paper:
    """A run's positions, and what it decided on each signal."""

    deals: list[Deal]
    verdicts: Mapping[str, Judged]


def paper_of(record: Record, asked: Asked, signals: Mapping[str, Heard]) -> Paper:
    """What came of it."""
    verdicts = {
        name: Judged(one.verdict, one.reason, None if one.decision is None else one.decision.at, _decided(one.decision))
        for name, one in record.verdicts.items()
    }
    found = (trades_of if asked.product.arithmetic.is_borrowed else trades_of_coins)(record, asked)
    fills = _fills(record, asked)
    made = [
        _deal(
            one, fills[(one.strategy, one.interval) if asked.policy.netted else None], record, verdicts, signals, asked
        )
        for one in found
    ]
    return Paper(made, verdicts)


def _fills(
    record: Record, asked: Asked
) -> dict[tuple[str | None, str | None] | None, dict[str, list[Fill | CoinFill]]]:
    """By order; where strategies hold a contract together, of each what its book had of it."""
    fills: dict[tuple[str | None, str | None] | None, dict[str, list[Fill | CoinFill]]] = {None: {}}
    if asked.policy.netted:
        for (_, *owner), one in by_book(record.ledger, record.orders, asked.instruments):
            if isinstance(one, Fill):
                fills.setdefault((owner[0], owner[1]), {}).setdefault(one.client_id, []).append(one)
    else:
        for one in record.ledger:
            if isinstance(one, Fill | CoinFill):
                fills[None].setdefault(one.client_id, []).append(one)
    return fills


def price_at(asked: Asked, symbol: str, moment: int) -> Decimal:
    """What it traded at: the close of that minute."""
    minutes = asked.minutes[symbol]
    place = min(max(minutes.at(moment - 1), 0), len(minutes.close) - 1)
    return int(minutes.close[place]) * minutes.tick


def _decided(view: DecisionView | None) -> Decided | None:
    return None if view is None else Decided(view.at, view.quantity, view.notional, view.equity, view.bound)


def _deal(
    trade: Trade,
    fills: Mapping[str, list[Fill | CoinFill]],
    record: Record,
    verdicts: Mapping[str, Judged],
    signals: Mapping[str, Heard],
    asked: Asked,
) -> Deal:
    one, sign = asked.instruments[trade.symbol], 1 if trade.side == "long" else -1
    legs = [_leg(name, fills[name], record, verdicts, signals, one) for name in trade.orders]
    entering = [each for each in legs if each.leg in ENTERING]
    closing = by_guards(sign, entering, [each for each in legs if each.leg not in ENTERING])
    held, gross = left_of_coins(entering, closing), trade.gross
    is_over = trade.closed_at is not None
    if held and not is_over:
        price = price_at(asked, trade.symbol, asked.end)
        closing.append(Leg(order="", signal=None, leg="open", quantity=held, price=price, at=asked.end, fee=ZERO))
        average = one.average_entry((each.quantity, each.price) for each in entering)
        gross += gained(one, sign, [(held, average)], [(held, price)])
    if not one.arithmetic.is_borrowed:
        gross = gained_of_coins(entering, closing)
        closing += [crumbs(held, trade.closed_at or asked.end)] * is_over
    return Deal(
        symbol=trade.symbol,
        side=trade.side,
        strategy=trade.strategy,
        interval=trade.interval,
        signal=trade.signal,
        opened_at=trade.opened_at,
        closed_at=trade.closed_at,
        entering=entering,
        closing=closing,
        gross=gross,
        funding=trade.funding,
        levels=_levels(_its_own(record, trade, asked), trade, asked.end),
    )


def _leg(
    name: str,
    fills: Iterable[Fill | CoinFill],
    record: Record,
    verdicts: Mapping[str, Judged],
    signals: Mapping[str, Heard],
    one: Instrument,
) -> Leg:
    listed, order = list(fills), record.orders.get(name)
    price = one.average_entry((each.quantity, each.price) for each in listed)
    kept = sum((each.fee for each in listed if isinstance(each, CoinFill) and each.fee_asset == each.base), ZERO)
    signal = None if order is None else order.signal
    heard = signals.get(signal or "") if order is not None and order.leg in DECIDED else None
    decided = verdicts[heard.id].decided if heard is not None and heard.id in verdicts else None
    wanted, plan = (None, None) if order is None else (order.quantity, order.plan)
    return Leg(
        order=name,
        signal=signal,
        leg="liquidation" if order is None else order.leg,
        quantity=sum((each.quantity for each in listed), ZERO),
        price=price,
        at=listed[0].time,
        fee=kept * price if kept else sum((each.fee for each in listed), ZERO),
        kept=kept,
        wanted=wanted,
        decided=decided_at(decided, wanted, one),
        said=None if heard is None else heard.price,
        trigger=None if order is None else order.trigger_price,
        late=None if heard is None or decided is None else decided.at - heard.at,
        equity=None if decided is None else decided.equity,
        bound=None if decided is None else decided.bound,
        why=record.why.get(name),
        stop=plan.stop_price if plan else None,
        target=plan.take_profit_price if plan else None,
    )


def _its_own(record: Record, trade: Trade, asked: Asked) -> Iterable[OrderRecord]:
    """What may have protected it: where strategies hold coins of a symbol, each has its own."""
    its = (trade.strategy, trade.interval)
    return [one for one in record.orders.values() if not asked.policy.apart or one.owner == its]


def _levels(orders: Iterable[OrderRecord], trade: Trade, end: int) -> dict[str, list[Decimal]]:
    found: dict[str, list[Decimal]] = {}
    legs: tuple[journal.Leg, ...] = ("stop", "take_profit")
    until = end if trade.closed_at is None else trade.closed_at
    for one in sorted(orders, key=lambda each: each.created_at):
        its = one.symbol == trade.symbol and trade.opened_at <= one.created_at <= until
        if its and one.leg in legs and one.trigger_price is not None:
            found.setdefault(one.leg, []).append(one.trigger_price)
    return found
