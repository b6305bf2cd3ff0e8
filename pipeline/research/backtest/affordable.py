"""Whether an account can pay for anything at all that is said in a run: by the executor's own sizing, before it begins.
Pure."""

from decimal import ROUND_CEILING, Decimal
from typing import Final

from pipeline.exchange.products.instrument import ONE, Instrument
from pipeline.execution.engine import risk, sizing
from pipeline.execution.engine.risk import Ask
from pipeline.execution.engine.state import (
    AccountView,
    Bracket,
    PositionRecord,
    SignalView,
    SymbolState,
    TradingView,
)
from pipeline.portfolio.allocation import share_of
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.contracts import spec_of
from pipeline.simulator.venue.brackets import brackets_of
from schemas.symbols import Symbol

_DIGITS: Final = 2


def least_equity(asked: Asked) -> Decimal | None:
    """About what an account has to begin with, so that the first order of any signal is paid; None where it has that,
    or where more would not help."""
    found = []
    for signal in asked.signals:
        if signal.kind in {"trial", "entry"} and signal.atr is not None and signal.atr > 0:
            ask, instrument = _ask(asked, signal, asked.assumptions.equity)
            if _pays(ask, instrument):
                return None
            unit = risk.unit(ask, instrument, _atr(ask)).quantity
            if unit and _pays(*_ask(asked, signal, needed := _rounded(_needed(ask, instrument, unit)))):
                found.append(needed)
    return min(found, default=None)


def _needed(ask: Ask, instrument: Instrument, unit: Decimal) -> Decimal:
    """The equity of which so many units are the least that the exchange takes, where they grow as the equity does."""
    rules, step = instrument.rules, sizing.market_step(instrument.rules)
    least = max(rules.min_quantity, rules.market_min_quantity, rules.min_notional / instrument.notional(ONE, ask.price))
    lots = (least / step).to_integral_value(rounding=ROUND_CEILING) * step
    return ask.account.equity * lots / (_units(ask) * unit)


def _pays(ask: Ask, instrument: Instrument) -> bool:
    unit = risk.unit(ask, instrument, _atr(ask))
    wanted = _units(ask) * unit.quantity
    return not isinstance(
        sizing.sized(wanted, unit.bound, ask.price, instrument, risk.limits(ask, instrument), ask.limit), str
    )


def _units(ask: Ask) -> Decimal:
    return ask.risk.trial_units if ask.signal.kind == "trial" else ask.risk.entry_units


def _atr(ask: Ask) -> Decimal:
    return ask.signal.atr or Decimal(0)


def _rounded(equity: Decimal) -> Decimal:
    """Up, to a number that a person would name: the price is another one by the time of the order."""
    return equity.quantize(Decimal(1).scaleb(equity.adjusted() - _DIGITS + 1), rounding=ROUND_CEILING)


def _ask(asked: Asked, signal: SignalView, equity: Decimal) -> tuple[Ask, Instrument]:
    """What the executor would look at if nothing were held."""
    symbol = asked.rules_at(signal.symbol, signal.at)
    instrument = Instrument.of(asked.product, symbol)
    market = SymbolState(
        instrument=instrument,
        brackets=_brackets(asked, symbol),
        taker_fee=symbol.taker_fee,
        trading=asked.trading.get(signal.symbol, TradingView()),
        price=signal.price,
        price_at=signal.at,
    )
    ask = Ask(
        signal=signal,
        now=signal.at,
        mode="auto-execute",
        policy=asked.policy,
        identity=asked.identity,
        risk=risk.settings_of(market, asked.policy.risk),
        market=market,
        account=AccountView(instrument.margin_asset, equity, equity, signal.at, equity),
        position=PositionRecord(signal.symbol),
        halted=False,
        stage=0,
        breakers=(),
        open_symbols=frozenset(),
        share=share_of(signal.strategy, asked.shares),
    )
    return ask, instrument


def _brackets(asked: Asked, symbol: Symbol) -> tuple[Bracket, ...]:
    spec = spec_of(asked, symbol)
    return tuple(Bracket(one.cap, one.rate, one.cum, one.leverage) for one in brackets_of(spec))
