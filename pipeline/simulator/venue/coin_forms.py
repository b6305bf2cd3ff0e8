"""How COIN-M writes orders, trades and incomes otherwise than USD-M: with pairs, and coins in the place of dollars."""

from collections.abc import Iterable
from typing import cast

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import formats, payloads
from pipeline.simulator.venue.account import Account, Income, Trade
from pipeline.simulator.venue.events import Event
from pipeline.simulator.venue.orders import Order
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.positions import Position
from pipeline.simulator.venue.terms import Forms


def _placed(spec: SymbolSpec, order: Order, *, acknowledge: bool = False) -> Payload:
    answer = payloads.placed(spec, order, acknowledge=acknowledge) | {"pair": spec.pair}
    del answer["goodTillDate"]
    return answer


def _queried(spec: SymbolSpec, order: Order) -> Payload:
    answer = payloads.queried(spec, order) | {"pair": spec.pair, "cumBase": formats.money(abs(order.quote))}
    del answer["goodTillDate"], answer["cumQuote"]
    return answer


def _trade_row(spec: SymbolSpec, trade: Trade) -> Payload:
    return payloads.trade_row(spec, trade) | {
        "pair": spec.pair,
        "marginAsset": spec.worth.asset,
        "baseQty": formats.money(trade.quantity * spec.worth.notional(trade.price)),
        "quoteQty": formats.money(trade.quantity * spec.worth.turnover(trade.price)),
    }


def _income_row(income: Income) -> Payload:
    """Its number is text here."""
    return payloads.income_row(income) | {"tranId": str(income.id)}


def _of_order(order: Order) -> Event:
    return {"ma": order.worth.asset}


def _of_account(event: Event, account: Account, positions: Iterable[Position]) -> Event:
    body = cast("dict[str, list[Event]]", event["a"])
    rows = [row | {"ma": position.worth.asset} for row, position in zip(body["P"], positions, strict=True)]
    return event | {"i": account.alias, "a": body | {"B": body["B"][:1], "P": rows}}


COIN_FORMS = Forms(
    placed=_placed,
    queried=_queried,
    trade_row=_trade_row,
    income_row=_income_row,
    of_order=_of_order,
    of_account=_of_account,
)
