"""Whether what is asked for can be worth anything: an account that can be counted and can pay, and positions that were
not held where nothing is known. Refused with what to do instead. It runs nothing."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from pipeline.app.opened import Opened
from pipeline.app.past import own_holes, symbol_of
from pipeline.app.wiring import exchange_of
from pipeline.errors import UsageError
from pipeline.research.backtest.affordable import least_equity
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.holes import held_through, holes_of
from pipeline.research.backtest.run import Backtest
from pipeline.timeline import to_datetime

_USUAL: Final = Decimal(10_000)
_PART_OF_A_COIN: Final = Decimal("0.00000001")
_FETCH_OR_GO_ON: Final = (
    "Fetch them: tidemark backfill SYMBOL --interval 1m; or go on, with nothing filled in a hole and a stop at the "
    "first price behind it: --through-holes"
)


def require_one_account(tm: Opened, symbols: Iterable[str]) -> None:
    """Refuse contracts that are margined in several coins: nothing can be counted in all of them."""
    if exchange_of(tm.settings).product.margin is not None:
        return
    by_asset: dict[str, list[str]] = {}
    for one in symbols:
        by_asset.setdefault(symbol_of(tm, one).margin_asset, []).append(one)
    if len(by_asset) > 1:
        told = "; ".join(f"{' '.join(names)} in {asset}" for asset, names in by_asset.items())
        raise UsageError(
            f"a backtest has one account, of one asset, and these count in several: {told}. Name those of one: --symbol"
        )


def usual_equity(asked: Asked) -> Decimal:
    """10,000; of a coin, as many as that bought."""
    first = min(asked.minutes)
    if not asked.sizes[first]:
        return _USUAL
    minutes = asked.minutes[first]
    price = int(minutes.open[max(minutes.at(asked.start), 0)]) * minutes.tick
    return (_USUAL / price).quantize(_PART_OF_A_COIN)


def require_affordable(asked: Asked) -> None:
    """Refuse an account that cannot pay for the first order of any signal."""
    least, equity = least_equity(asked), asked.assumptions.equity
    if least is not None:
        raise UsageError(
            f"an equity of {equity:f} {asked.asset} cannot pay one unit: the least order of any of these "
            f"{len(asked.signals)} signals takes about {least:f} {asked.asset}; name a larger equity, or take a larger "
            "risk"
        )


def in_dollars(ran: Backtest) -> list[str]:
    """What a run that is counted in a coin comes to in what prices are in."""
    if ran.in_dollars is None:
        return []
    begun, end = ran.in_dollars
    summary = ran.outcome.summary
    coins = [f"{one:,.8f} {summary.asset}" for one in (summary.equity_start, summary.equity_end)]
    change = (end / begun - 1) * 100
    at_end = f"and {coins[1]} are {end:,.2f} at the end: {change:+.2f} %"
    return [f"in dollars: {coins[0]} were worth {begun:,.2f} at the start, {at_end}"]


def held_in_the_dark(tm: Opened, ran: Backtest, *, through_holes: bool) -> list[str]:
    """How many trades were held over minutes that are not stored and that the exchange had, if any: refused, unless one
    means to go through holes."""
    holes = {name: holes_of(one, own_holes(tm, name)) for name, one in ran.asked.minutes.items() if not one.there.all()}
    if not any(holes.values()):
        return []
    trades = ran.outcome.trades
    if not (met := held_through(trades, holes)):
        return []
    first = min(met, key=lambda one: one.first)
    gap = (
        f"{len(met)} of {len(trades)} trades were held over minutes that are not stored, the first of them of "
        f"{first.symbol} from {to_datetime(first.first):%Y-%m-%d %H:%M} to {to_datetime(first.last):%H:%M}: what their "
        "stops would have done there, nobody can say"
    )
    if not through_holes:
        raise UsageError(f"{gap}. {_FETCH_OR_GO_ON}")
    return [gap]
