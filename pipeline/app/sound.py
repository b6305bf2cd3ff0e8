"""Whether what is asked for can be worth anything: an account that can be counted and can pay, and positions that were
not held where nothing is known. Refused with what to do instead. It runs nothing."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from pipeline.app.opened import Opened
from pipeline.app.past import own_holes, symbol_of
from pipeline.app.wiring import exchange_of
from pipeline.errors import UsageError
from pipeline.research.backtest.affordable import least_equity
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.holes import Hole, held_through, holes_of
from pipeline.research.backtest.run import Backtest
from pipeline.timeline import MINUTE, to_datetime

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


def require_affordable(parts: Iterable[Asked]) -> None:
    """Refuse an account that cannot pay for the first order of any signal of these."""
    least: dict[Decimal, Asked] = {}
    for asked in parts:
        needed = least_equity(asked)
        if needed is None:
            return
        least[needed] = asked
    if least:
        needed = min(least)
        asked = least[needed]
        equity = asked.assumptions.equity
        raise UsageError(
            f"an equity of {equity:f} {asked.asset} cannot pay one unit: the least order of any of these "
            f"{len(asked.signals)} signals takes about {needed:f} {asked.asset}; name a larger equity, or take a "
            "larger risk"
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
    holes = _holes(tm, ran.asked)
    if not holes:
        return []
    trades = ran.outcome.trades
    if not (met := held_through(trades, holes)):
        return []
    first = min(met, key=lambda one: one.first)
    gap = f"{len(met)} of {len(trades)} trades were held over minutes that are not stored, the first of them of "
    return _said(f"{gap}{first.symbol} {_span(first.first, first.last)}", "their", through_holes=through_holes)


def in_the_dark(tm: Opened, asked: Asked, *, through_holes: bool) -> list[str]:
    """The minutes that are not stored and that the exchange had, if any, of whatever is going to be traded: refused,
    unless one means to go through holes."""
    holes = _holes(tm, asked)
    if not holes:
        return []
    symbol = min(holes, key=lambda one: holes[one][0].first)
    first, count = holes[symbol][0], sum(1 + (one.last - one.first) // MINUTE for of in holes.values() for one in of)
    gap = f"{count:,} minutes are not stored over which a trade may be held, the first of them of "
    return _said(f"{gap}{symbol} {_span(first.first, first.last)}", "its", through_holes=through_holes)


def _holes(tm: Opened, asked: Asked) -> dict[str, Sequence[Hole]]:
    """By symbol, of those that have any."""
    found = {name: holes_of(one, own_holes(tm, name)) for name, one in asked.minutes.items() if not one.there.all()}
    return {name: holes for name, holes in found.items() if holes}


def _said(gap: str, whose: str, *, through_holes: bool) -> list[str]:
    gap = f"{gap}: what {whose} stops would have done there, nobody can say"
    if not through_holes:
        raise UsageError(f"{gap}. {_FETCH_OR_GO_ON}")
    return [gap]


def _span(first: int, last: int) -> str:
    return f"from {to_datetime(first):%Y-%m-%d %H:%M} to {to_datetime(last):%H:%M}"
