"""What may be opened, and what stops everything from being opened. Each limit is one function that answers with the
reason, or None. Closing and protecting are never limited.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.instrument import ONE, Instrument
from pipeline.execution.engine import liquidation, sizing
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import (
    ZERO,
    AccountView,
    BreakerView,
    Margin,
    Policy,
    PositionRecord,
    SignalView,
    SymbolState,
)
from pipeline.portfolio.allocation import WHOLE
from pipeline.portfolio.caps import Held
from pipeline.settings import Risk
from pipeline.timeline import DAY, MINUTE, SECOND, iso
from schemas.shared import Mode
from schemas.signals import Side

NOT_COMPARED: Final = "reconcile"
"""The breaker that holds while the exchange could not be compared with the journal."""
ACCOUNT_LOSS: Final = "daily-loss"
ACCOUNT_PROFIT: Final = "daily-profit"
_FEWEST_CALLS: Final = 10
"""Below so many calls in a minute, a share of errors says nothing."""
_MOST_STOPS: Final = 5
_STOPS_OF_A_PAIR: Final = 2
"""The exchange takes no more of them in a symbol whose coins are bought and sold."""
_ERROR_PAUSE: Final = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class Ask:
    """A signal that wants to open something, and everything a limit may look at."""

    signal: SignalView
    now: int
    mode: Mode
    policy: Policy
    identity: Identity
    risk: Risk
    market: SymbolState
    account: AccountView
    position: PositionRecord
    halted: bool
    stage: int
    breakers: tuple[BreakerView, ...]
    open_symbols: frozenset[str]
    whole: PositionRecord | None = None
    """All that is held of the symbol; `position` is what the signal's strategy sees of it. None: the same."""
    closed: bool = False
    """The signal has closed what was held already, and is decided once more, to open the other way."""
    reserved: Decimal = ZERO
    """Margin of entries that are under way, or that the account does not know of yet."""
    share: Decimal = WHOLE
    """How much of the equity its strategy goes by, in percent."""
    held: Sequence[Held] = ()
    """All that is margined in the same asset, and what is on its way; asked for where something caps it."""
    alike: Collection[str] | None = None
    """What moves like the signal's symbol; None: nobody knows."""

    @property
    def net(self) -> PositionRecord:
        """What is held of the symbol, whoever's."""
        return self.position if self.whole is None else self.whole

    @property
    def newest(self) -> Decimal:
        """The newest price, else the signal's."""
        return self.market.price or self.signal.price

    @property
    def limit(self) -> Decimal | None:
        """The price of a limit entry; None: entries are market orders. Those for coins always are: a pair does not grow
        with what is filled of one that rests."""
        if self.risk.entry_order == "market" or self.policy.owned or self.market.filters is None:
            return None
        return sizing.limit_price(self.signal.price, self.signal.side, self.market.filters)

    @property
    def price(self) -> Decimal:
        """What the order would be filled at: the newest price, and a limit order at no worse than its own."""
        if self.limit is None:
            return self.newest
        return min(self.newest, self.limit) if self.signal.side == "long" else max(self.newest, self.limit)

    @property
    def equity(self) -> Decimal:
        """What its strategy goes by."""
        return self.account.equity * self.share / WHOLE

    @property
    def taker_fee(self) -> Decimal:
        """What an order costs: of the account, else of the settings."""
        return self.policy.taker_fee if self.market.taker_fee is None else self.market.taker_fee


def settings_of(market: SymbolState, general: Risk) -> Risk:
    """The settings, with what the symbol has of its own. Coins that are paid at once have no leverage."""
    trading, one = market.trading, market.instrument
    leverage = trading.leverage if one is None or one.arithmetic.is_borrowed else 1
    own = {"leverage": leverage, "stop_atr": trading.stop_atr, "take_profit_atr": trading.take_profit_atr}
    update = {name: value for name, value in own.items() if value is not None}
    return general.model_copy(update=update) if update else general


def _halted(ask: Ask) -> str | None:
    return "halted" if ask.halted else None


def _breaker(ask: Ask) -> str | None:
    return stopped_by(ask.breakers, ask.signal.symbol, ask.market.asset)


def _symbol_off(ask: Ask) -> str | None:
    trading, symbol = ask.market.trading, ask.signal.symbol
    if trading.traded(production=ask.policy.production):
        return None
    if trading.enabled is None:
        only = "in production only what is switched on is traded"
        return f"{symbol} is not switched on: {only} (tidemark trading {symbol} --on)"
    return f"trading of {symbol} is off"


def _strategy_off(ask: Ask) -> str | None:
    allowed = ask.market.trading.strategies
    if allowed is None or ask.signal.strategy in allowed:
        return None
    return f"{ask.signal.strategy} is not among the strategies of {ask.signal.symbol}: {', '.join(allowed) or 'none'}"


def _interval_off(ask: Ask) -> str | None:
    allowed = ask.market.trading.intervals
    if allowed is None or ask.signal.interval in allowed:
        return None
    return f"{ask.signal.interval} is not among the intervals of {ask.signal.symbol}: {', '.join(allowed)}"


def _no_share(ask: Ask) -> str | None:
    if ask.share:
        return None
    return f"no share of the equity is allocated to {ask.signal.strategy} (tidemark allocate)"


def _not_traded(ask: Ask) -> str | None:
    return (
        None
        if ask.market.filters
        else f"the exchange does not trade {ask.signal.symbol} now, or not with the margin that is counted in"
    )


def _short_of_coins(ask: Ask) -> str | None:
    if not ask.policy.owned or ask.signal.side == "long":
        return None
    return f"nothing is sold short on {ask.policy.environment}: coins can only be bought and sold again"


def _others_stops(ask: Ask) -> str | None:
    others = (one for one in ask.net.books if one.owner != ask.position.owner)
    stops = ask.market.others_stops + sum(1 if one.take_profit_price is None else _STOPS_OF_A_PAIR for one in others)
    if not ask.policy.owned or stops + _STOPS_OF_A_PAIR <= _MOST_STOPS:
        return None
    return f"{stops} stops of others stand in {ask.signal.symbol}, and {_MOST_STOPS} are the most"


def _no_brackets(ask: Ask) -> str | None:
    known = ask.market.brackets or ask.policy.owned
    return None if known else f"the margin brackets of {ask.signal.symbol} are not known"


def _no_atr(ask: Ask) -> str | None:
    atr = ask.signal.atr
    return None if atr is not None and atr.is_finite() and atr > 0 else "the signal has no ATR to size by"


def _stale(ask: Ask) -> str | None:
    most = ask.risk.stale_feed_seconds
    age = ask.now - ask.market.price_at
    if ask.market.price is not None and age <= most * SECOND:
        return None
    seen = f"was heard {age // SECOND} s ago" if ask.market.price is not None else "was never heard"
    return f"stale data: the feed of {ask.signal.symbol} {seen}, at most {most} s are allowed"


def _price_moved(ask: Ask) -> str | None:
    price, at_signal, most = ask.price, ask.signal.price, ask.risk.max_slippage_percent
    worse = price - at_signal if ask.signal.side == "long" else at_signal - price
    if worse / at_signal * 100 <= most:
        return None
    return f"the price moved from {at_signal} to {price} since the signal, more than {most} %"


def _outside_band(ask: Ask) -> str | None:
    filters, limit = ask.market.filters, ask.limit
    if filters is not None and limit is not None and not filters.min_price <= limit <= filters.max_price:
        return f"the limit {limit} is outside the exchange's prices {filters.min_price} to {filters.max_price}"
    if filters is None or sizing.in_band(ask.signal.price, ask.newest, filters):
        return None
    return f"the signal's price {ask.signal.price} is outside the exchange's band around {ask.newest}"


def _other_margin(ask: Ask) -> str | None:
    wanted = Margin(ask.risk.leverage, ask.risk.margin_type)
    if ask.mode == "signal-only" or ask.policy.owned or ask.market.margin == wanted:
        return None
    if ask.market.margin_refused:
        return f"the exchange does not set {wanted}: {ask.market.margin_refused}"
    return f"the exchange has {ask.market.margin or 'an unknown leverage'} set, not {wanted}"


def _no_beginning(ask: Ask) -> str | None:
    return "it is not known what the day began with" if ask.account.day_start is None else None


def _too_many_positions(ask: Ask) -> str | None:
    others = ask.open_symbols - {ask.signal.symbol}
    if len(others) < ask.risk.max_open_positions:
        return None
    return f"{len(others)} positions are open, and {ask.risk.max_open_positions} is the most"


def _foreign(ask: Ask) -> str | None:
    if ask.position.ours or ask.position.quantity == 0:
        return None
    return f"somebody else holds {ask.position.quantity} {ask.signal.symbol} on this account"


CHECKS: Final[tuple[Callable[[Ask], str | None], ...]] = (
    _halted,
    _breaker,
    _symbol_off,
    _strategy_off,
    _interval_off,
    _no_share,
    _not_traded,
    _short_of_coins,
    _others_stops,
    _no_brackets,
    _no_atr,
    _foreign,
    _stale,
    _price_moved,
    _outside_band,
    _other_margin,
    _no_beginning,
    _too_many_positions,
)


def refusal(ask: Ask) -> str | None:
    """Why nothing may be opened on this signal, if anything says so."""
    return next((reason for check in CHECKS if (reason := check(ask))), None)


def unit(ask: Ask, one: Instrument, atr: Decimal) -> sizing.Unit:
    """The unit that the position was opened with; where none is open, one of which as many as it may grow to fit."""
    if ask.position.unit_quantity is not None:
        return sizing.Unit(ask.position.unit_quantity, "the position's unit")
    settings, fee = ask.risk, ask.taker_fee
    equity, side = ask.equity, ask.signal.side
    price = dearer(one, ask.price, ask.limit)
    worth = one.notional(ONE, ask.price)
    by_risk = sizing.unit_quantity(equity, settings.unit_percent, _lost(one, ask, atr), settings.leverage, worth, fee)
    dearest = sizing.dearest_price(price, side, atr, settings, one)
    caps = _shares(ask) | _rooms(ask, one, dearest)
    return sizing.fitting(by_risk, one.notional(ONE, dearest), caps, one.rules, settings.max_units)


def dearer(one: Instrument, price: Decimal, limit: Decimal | None) -> Decimal:
    """The one of the two prices at which it is worth more."""
    return max((price, limit or price), key=lambda each: one.notional(ONE, each))


def _lost(one: Instrument, ask: Ask, atr: Decimal) -> Decimal:
    """By one contract where the price goes an ATR against it; there is no price below the least."""
    sign = 1 if ask.signal.side == "long" else -1
    against = max(ask.price - sign * atr, one.rules.min_price, one.rules.tick_size)
    return abs(one.pnl(ONE, ask.price, against))


def limits(ask: Ask, one: Instrument) -> sizing.Limits:
    """What may be added to what is held, by what that was bought for, and what is free: not what is on its way
    already, and not the cushion."""
    rooms = _rooms(ask, one, dearer(one, ask.price, ask.limit), ask.net)
    cushion = ask.account.equity * ask.risk.margin_cushion_percent / 100
    free = ask.account.available - ask.reserved - cushion
    return sizing.Limits(rooms, free, ask.risk.leverage, ask.taker_fee)


def stop_distance(ask: Ask, atr: Decimal) -> Decimal:
    """How far from the price the stop is: in percent of it where the symbol says so, else in ATR."""
    percent = ask.market.trading.stop_percent
    return ask.risk.stop_atr * atr if percent is None else ask.price * percent / 100


def take_profit_distance(ask: Ask, atr: Decimal) -> Decimal | None:
    """How far from the price the take-profit is, if there is one."""
    percent, atrs = ask.market.trading.take_profit_percent, ask.risk.take_profit_atr
    if percent is not None:
        return ask.price * percent / 100
    return None if atrs is None else atrs * atr


def liquidated_before(ask: Ask, one: Instrument, quantity: Decimal, stop: Decimal) -> str | None:
    """Why the stop would not be the first to close the position, with that quantity added. Where strategies hold
    against each other, all of its side counts: the others may leave first."""
    held, settings = ask.net, ask.risk
    sign = 1 if ask.signal.side == "long" else -1
    mine = [one for one in held.books if one.quantity * sign > 0] if held.books else [held]
    stops = [stop, *(one.stop_price for one in mine if held.books and one.stop_price is not None)]
    stop = min(stops) if sign == 1 else max(stops)
    fills = [(sign * quantity, ask.price), *((each.quantity, each.entry_price) for each in mine if each.quantity)]
    total, entry = sum((each for each, _ in fills), ZERO), one.average_entry(fills)
    price = liquidation.price(one, total, entry, settings.leverage, ask.market.brackets)
    if price is None or not liquidation.too_near(stop, ask.price, price):
        return None
    beyond = sign * (stop - price) <= 0
    return (
        f"the stop {stop} lies {'beyond' if beyond else 'too near to'} the liquidation price {price:.8g} of {total} "
        f"{ask.signal.symbol} at {Margin(settings.leverage, settings.margin_type)}: it may be as far from {ask.price} "
        f"as {100 * liquidation.ROOM:f} % of the way there"
    )


def unsellable(ask: Ask, one: Instrument, quantity: Decimal, stop: Decimal) -> str | None:
    """Why the stop could not be placed for all of it: too little is left of it, when the exchange has kept its fee of
    the coins, to be sold at that price."""
    left = sizing.floor_to(ask.position.quantity + quantity * (1 - ask.taker_fee), sizing.market_step(one.rules))
    if not ask.policy.owned or one.notional(left, stop) >= one.rules.min_notional:
        return None
    worth = one.amount(one.notional(left, stop))
    return f"too small: {left} at its stop {stop} is worth {worth}, and the least is {one.rules.min_notional}"


def _shares(ask: Ask) -> dict[str, Decimal]:
    """What a new position may come to be worth by the equity: as much as `max_open_positions` alike can pay for."""
    settings, equity = ask.risk, ask.equity
    if settings.max_position_percent is not None:
        return {"max_position_percent": equity * settings.max_position_percent / 100}
    margin = equity * (100 - settings.margin_cushion_percent) / 100 / settings.max_open_positions
    cost = sizing.margin_cost(Decimal(1), settings.leverage, ask.taker_fee)
    return {f"its share of the margin, one of {settings.max_open_positions},": margin / cost}


def _rooms(ask: Ask, one: Instrument, price: Decimal, held: PositionRecord | None = None) -> dict[str, Decimal]:
    """What the position may be worth whatever the equity, less what is held of it, in the asset of its margin: what a
    person or a stage allows is said in what prices are in, and counts at that price. What strategies hold the other
    way takes nothing off: they may leave first."""
    has = ZERO if held is None else _of_its_side(held, ask.signal.side)
    entry = held.entry_price if held is not None and has and held.entry_price else price
    rooms = {}
    if one.arithmetic.is_borrowed:
        allowed = liquidation.most(ask.risk.leverage, ask.market.brackets)
        rooms[f"the exchange at leverage {ask.risk.leverage}"] = allowed - one.notional(has, entry)
    caps = {"the symbol's max_position": ask.market.trading.max_position}
    if ask.policy.production:
        caps[f"production stage {ask.stage}"] = sizing.stage_cap(ask.stage)
    for name, cap in caps.items():
        if cap is not None:
            rooms[name] = (cap - one.quoted(has, entry)) * one.notional(ONE, price) / one.quoted(ONE, price)
    return rooms


def _of_its_side(held: PositionRecord, side: Side) -> Decimal:
    """How much of it is held that way: by all strategies, where each has a book."""
    return sum((one.quantity for one in held.books if one.side == side), ZERO) if held.books else held.quantity


# What trips by itself


def stopped_by(breakers: Iterable[BreakerView], symbol: str, asset: str | None) -> str | None:
    """The breaker, of the symbol or of all, that lets nothing be opened in it."""
    return next((f"breaker {one.name}: {one.reason}" for one in breakers if one.stops(symbol, asset)), None)


def of_coin(name: str, policy: Policy, asset: str | None) -> str:
    """What a breaker of the day is called: by its coin, where each has its own day."""
    return f"{name}:{asset}" if policy.coins else name


def daily(account: AccountView, policy: Policy, goal: Decimal | None, now: int) -> BreakerView | None:
    """The day's loss limit or profit target (`goal`, else that of the settings) is reached: nothing new until tomorrow,
    UTC."""
    if not account.day_start or account.day_start <= 0 or account.at // DAY != now // DAY:
        return None
    change = (account.equity - account.day_start) / account.day_start * 100
    tomorrow, risk = (now // DAY + 1) * DAY, policy.risk
    asset = account.asset if policy.coins else None
    if change <= -risk.daily_loss_percent:
        reason = f"the day's loss is {-change:.2f} %, the limit {risk.daily_loss_percent} %"
        return BreakerView(of_coin(ACCOUNT_LOSS, policy, asset), reason, now, until=tomorrow, asset=asset)
    target = risk.daily_profit_percent if goal is None else goal
    if target is not None and change >= target:
        reason = f"the day's profit is {change:.2f} %, the target {target} %"
        return BreakerView(of_coin(ACCOUNT_PROFIT, policy, asset), reason, now, until=tomorrow, asset=asset)
    return None


def symbol_profit(
    symbol: str, result: Decimal, target: Decimal | None, account: AccountView, now: int
) -> BreakerView | None:
    """A symbol has reached its own profit target for the day: it rests until tomorrow, UTC."""
    if target is None or not account.day_start or account.day_start <= 0 or account.at // DAY != now // DAY:
        return None
    change = result / account.day_start * 100
    if change < target:
        return None
    reason = f"the day's profit of {symbol} is {change:.2f} % of the equity, the target {target} %"
    return BreakerView(profit_breaker(symbol), reason, now, symbol=symbol, until=(now // DAY + 1) * DAY)


def profit_breaker(symbol: str) -> str:
    """Its name."""
    return f"{ACCOUNT_PROFIT}:{symbol}"


def slipped(symbol: str, slippage_pct: float, risk: Risk, now: int) -> BreakerView | None:
    """A fill was much worse than the signal's price: the symbol rests until tomorrow, UTC."""
    if Decimal(str(slippage_pct)) <= risk.max_slippage_percent:
        return None
    reason = f"a fill was {slippage_pct:.3f} % worse than the signal's price, at most {risk.max_slippage_percent} %"
    return BreakerView(f"slippage:{symbol}", reason, now, symbol=symbol, until=(now // DAY + 1) * DAY)


def too_many_errors(calls: Iterable[bool], risk: Risk, now: int) -> BreakerView | None:
    """Too large a share of the last minute's calls to the exchange gave no sensible answer."""
    outcomes = list(calls)
    errors = outcomes.count(False)
    if len(outcomes) < _FEWEST_CALLS or Decimal(errors) / len(outcomes) * 100 <= risk.max_error_percent:
        return None
    reason = f"{errors} of {len(outcomes)} calls in a minute failed, at most {risk.max_error_percent} %"
    return BreakerView("errors", reason, now, until=now + _ERROR_PAUSE)


def too_many_orders(sent: int, risk: Risk, now: int) -> BreakerView | None:
    """As many orders left in the last minute as ever may."""
    if sent < risk.max_orders_per_minute:
        return None
    reason = f"{sent} orders left within a minute, {risk.max_orders_per_minute} is the most"
    return BreakerView("orders", reason, now, until=now + MINUTE)


def unprotected(position: PositionRecord, risk: Risk, now: int) -> BreakerView | None:
    """A position has been without its stop for too long: the symbol rests until a person has looked."""
    since = position.unprotected_since
    if since is None or now - since <= risk.unprotected_seconds * SECOND:
        return None
    reason = f"{position.symbol} had no stop since {iso(since)}, longer than {risk.unprotected_seconds} s"
    return BreakerView(f"unprotected:{position.symbol}", reason, now, symbol=position.symbol)


def by_hand(name: str, reason: str, now: int, symbol: str | None = None) -> BreakerView:
    """One that only a person resets."""
    return BreakerView(f"{name}:{symbol}" if symbol else name, reason, now, symbol=symbol)


def not_compared(reason: str, now: int) -> BreakerView:
    """Reset by the next comparison that succeeds."""
    return BreakerView(NOT_COMPARED, f"the exchange could not be compared: {reason}", now)


def is_over(breaker: BreakerView, now: int) -> bool:
    """Whether its time has come."""
    return breaker.until is not None and breaker.until <= now


def extended(old: BreakerView | None, new: BreakerView) -> BreakerView | None:
    """The breaker to write, or None where the one that is tripped says as much."""
    if old is None:
        return new
    if old.until is not None and (new.until is None or new.until > old.until + MINUTE):
        return replace(new, at=old.at)
    return None
