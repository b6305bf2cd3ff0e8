"""The endpoints of conditional orders: place, cancel, query, list."""
# ruff: noqa: ARG002 - every endpoint is called alike, whether or not it needs the time or the parameters

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import conditional, filters, payloads
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.history import page
from pipeline.simulator.venue.intake import (
    find_spec,
    optional_spec,
    read_client_id,
    read_good_till,
    read_position_side,
    read_reduce_only,
)
from pipeline.simulator.venue.orders import (
    CONDITIONAL,
    ZERO,
    Algo,
    AlgoStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    WorkingType,
)
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.refusals import refuse

_WITH_PRICE: Final = frozenset({OrderType.STOP, OrderType.TAKE_PROFIT})
_CLOSING: Final = frozenset({OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET})
_LEAST_CALLBACK: Final = Decimal("0.1")
_MOST_CALLBACK: Final = Decimal(10)


class AlgoType(StrEnum):
    CONDITIONAL = "CONDITIONAL"


@dataclass(frozen=True, slots=True)
class AlgoDesk:
    """Answers about conditional orders."""

    engine: Engine

    def place(self, account: Account, params: Params, now: int) -> Payload:
        """POST algoOrder. The margin is not looked at before the trigger."""
        algo = self._read(account, params, now)
        self._check_book_rules(account, algo)
        last = self._working_price(algo, now)
        conditional.check_not_triggered(algo, last)
        algo.id = self.engine.ids.take("algo")
        algo.client_id = algo.client_id or self.engine.ids.text()
        conditional.begin_trailing(algo, last)
        account.algos[algo.id] = account.open_algos[algo.id] = algo
        self.engine.move(account, algo, AlgoStatus.NEW, now)
        return payloads.algo_placed(self.engine.spec(algo.symbol), algo)

    def query(self, account: Account, params: Params, now: int) -> Payload:
        """GET algoOrder"""
        algo = self._find(account, params, unknown=-2013)
        return payloads.algo_queried(self.engine.spec(algo.symbol), algo)

    def cancel(self, account: Account, params: Params, now: int) -> Payload:
        """DELETE algoOrder"""
        algo = self._find(account, params, unknown=-2011)
        if not algo.is_open:
            raise refuse(-2011)
        self.engine.move(account, algo, AlgoStatus.CANCELED, now)
        return payloads.algo_cancelled(algo)

    def cancel_all(self, account: Account, params: Params, now: int) -> Payload:
        """DELETE algoOpenOrders"""
        for algo in account.algos_of(find_spec(self.engine, params, now).symbol):
            self.engine.move(account, algo, AlgoStatus.CANCELED, now)
        return payloads.CANCELLED_ALL

    def list_open(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET openAlgoOrders"""
        spec = optional_spec(self.engine, params, now)
        number = params.integer("algoId")
        algos = account.algos_of(spec.symbol) if spec else list(account.open_algos.values())
        return [
            payloads.algo_listed(self.engine.spec(algo.symbol), algo) for algo in algos if number in {None, algo.id}
        ]

    def list_all(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET allAlgoOrders"""
        spec = find_spec(self.engine, params, now)
        algos = [algo for algo in account.algos.values() if algo.symbol == spec.symbol]
        found = page(algos, params, now, number=lambda a: a.id, time=lambda a: a.created, first="algoId", default=500)
        return [payloads.algo_listed(spec, algo) for algo in found]

    def _find(self, account: Account, params: Params, *, unknown: int) -> Algo:
        number, client_id = params.integer("algoId"), params.text("clientAlgoId")
        if number is None and client_id is None:
            raise refuse(-1102, "algoId")
        for algo in reversed(account.algos.values()):
            if algo.id == number if number is not None else algo.client_id == client_id:
                return algo
        raise refuse(unknown)

    def _read(self, account: Account, params: Params, now: int) -> Algo:
        params.need_word("algoType", AlgoType, -1130)
        spec = find_spec(self.engine, params, now)
        side = params.need_word("side", Side, -1117)
        kind = params.need_word("type", OrderType, -1116)
        if kind not in CONDITIONAL:
            raise refuse(-1116)
        filters.check_status(spec, now)
        position_side = read_position_side(account, params)
        reduce_only = read_reduce_only(account, params)
        close_position = _read_close_position(params, kind)
        time_in_force = params.word("timeInForce", TimeInForce, -1115) or TimeInForce.GTC
        algo = Algo(
            id=0,
            client_id=read_client_id(params, "clientAlgoId", ""),
            symbol=spec.symbol,
            side=side,
            position_side=position_side,
            type=kind,
            time_in_force=time_in_force,
            quantity=ZERO if close_position else params.need_number("quantity"),
            price=params.need_number("price") if kind in _WITH_PRICE else ZERO,
            trigger=ZERO,
            working_type=params.word("workingType", WorkingType, -1130) or WorkingType.CONTRACT_PRICE,
            close_position=close_position,
            reduce_only=reduce_only,
            price_protect=params.flag("priceProtect"),
            self_trade=params.word("selfTradePreventionMode", SelfTrade, -1130) or SelfTrade.EXPIRE_MAKER,
            good_till=read_good_till(params, time_in_force, now),
            created=now,
            updated=now,
        )
        _read_trigger(params, algo)
        _check_filters(spec, algo)
        return algo

    def _check_book_rules(self, account: Account, algo: Algo) -> None:
        if algo.client_id and any(other.client_id == algo.client_id for other in account.open_algos.values()):
            raise refuse(-4116)
        waiting = account.algos_of(algo.symbol)
        if algo.close_position and any(_is_same_close(algo, other) for other in waiting):
            raise refuse(-4130)
        if len(waiting) >= self.engine.spec(algo.symbol).max_algo_orders:
            raise refuse(-4045)

    def _working_price(self, algo: Algo, now: int) -> Decimal:
        if algo.working_type is WorkingType.MARK_PRICE:
            return self.engine.mark(algo.symbol, now)
        return self.engine.market.price(algo.symbol, now) * self.engine.spec(algo.symbol).tick


def _read_close_position(params: Params, kind: OrderType) -> bool:
    if not params.flag("closePosition"):
        return False
    if kind not in _CLOSING:
        raise refuse(-4136, kind)
    if params.text("quantity") is not None:
        raise refuse(-4137)
    if params.text("reduceOnly") is not None:
        raise refuse(-1106, "reduceonly")
    return True


def _read_trigger(params: Params, algo: Algo) -> None:
    if algo.type is not OrderType.TRAILING_STOP_MARKET:
        algo.trigger = params.need_number("triggerPrice")
        return
    algo.callback = params.need_number("callbackRate")
    if not _LEAST_CALLBACK <= algo.callback <= _MOST_CALLBACK:
        raise refuse(-2007)
    algo.activate = params.number("activatePrice")


def _check_filters(spec: SymbolSpec, algo: Algo) -> None:
    if not algo.close_position:
        filters.check_quantity(spec, algo.quantity, market=algo.type not in _WITH_PRICE)
    if algo.type in _WITH_PRICE:
        filters.check_price(spec, algo.price)
    asked = algo.activate if algo.type is OrderType.TRAILING_STOP_MARKET else algo.trigger
    if asked is not None:
        filters.check_price(spec, asked)
    if not algo.only_closes and (price := algo.price or asked):
        filters.check_notional(spec, algo.quantity, price)


def _is_same_close(algo: Algo, other: Algo) -> bool:
    return (other.close_position, other.type, other.side, other.position_side) == (
        True, algo.type, algo.side, algo.position_side,
    )  # fmt: skip
