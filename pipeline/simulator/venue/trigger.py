"""What happens when a conditional order fires: it becomes an ordinary order, or it is rejected with the reason. The
ordinary order bears the conditional one's client id, if no open order has it. Which of the two is told of first, chance
decides."""

from decimal import Decimal

from pipeline.simulator.errors import ApiError
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.intake import check_closes, check_filters
from pipeline.simulator.venue.orders import Algo, AlgoStatus, Order, OrderType
from pipeline.simulator.venue.refusals import refuse

_LIMIT_TYPES = frozenset({OrderType.STOP, OrderType.TAKE_PROFIT})


def fire(engine: Engine, account: Account, algo: Algo, last: int, time: int) -> None:
    """Hand the order to the matching engine. Only here are its margin and its position looked at."""
    algo.triggered = time
    engine.move(account, algo, AlgoStatus.TRIGGERING, time)
    quantity = algo.quantity
    if algo.close_position:
        quantity = account.closable(algo.symbol, algo.position_side, algo.side)
        if not quantity:
            engine.move(account, algo, AlgoStatus.EXPIRED, time)
            return
    order = _order(engine, account, algo, quantity, time)
    try:
        _check(engine, account, order, last, time)
    except ApiError as refusal:
        engine.move(account, algo, AlgoStatus.REJECTED, time, refusal.message)
        return
    algo.order = order
    told = len(account.events)
    engine.move(account, algo, AlgoStatus.TRIGGERED, time)
    engine.accept(account, order, last, time)
    if engine.terms.tells_algos and engine.ids.toss():
        _tell_late(account, told, ended=algo.status is not AlgoStatus.TRIGGERED)


def _tell_late(account: Account, told: int, *, ended: bool) -> None:
    """That it has fired is told after what its order did; that it has ended still comes last."""
    triggered = account.events.pop(told)
    account.events.insert(len(account.events) - ended, triggered)


def _check(engine: Engine, account: Account, order: Order, last: int, time: int) -> None:
    check_closes(account, order.symbol, order.side, order.position_side, reduce_only=order.reduce_only)
    if not order.close_position:
        check_filters(engine, engine.spec(order.symbol), order, time)
    if len(account.orders_of(order.symbol)) >= engine.spec(order.symbol).max_orders:
        raise refuse(-2025)
    engine.check_takeable(order, last, engine.mark(order.symbol, time))
    engine.check_margin(account, order, last, time)


def _order(engine: Engine, account: Account, algo: Algo, quantity: Decimal, time: int) -> Order:
    taken = account.by_client_id.get(algo.client_id)
    return Order(
        id=engine.ids.take("order"),
        client_id=engine.ids.text() if taken is not None and taken.is_open else algo.client_id,
        symbol=algo.symbol,
        side=algo.side,
        position_side=algo.position_side,
        type=OrderType.LIMIT if algo.type in _LIMIT_TYPES else OrderType.MARKET,
        original_type=algo.type,
        time_in_force=algo.time_in_force,
        quantity=quantity,
        price=algo.price,
        reduce_only=algo.reduce_only or (algo.close_position and not account.dual),
        close_position=algo.close_position,
        stop_price=algo.trigger,
        working_type=algo.working_type,
        self_trade=algo.self_trade,
        good_till=algo.good_till,
        algo_id=algo.id,
        created=time,
        updated=time,
        worth=engine.spec(algo.symbol).worth,
    )
