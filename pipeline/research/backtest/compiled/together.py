"""What all positions may come to together. Compare `execution/engine/together.py` and `portfolio/caps.py`."""

from pipeline.research.backtest.compiled.compiling import part
from pipeline.research.backtest.compiled.sums import equity_of, value_of, worth_of
from pipeline.research.backtest.compiled.tables import (
    BEYOND_GROSS,
    BEYOND_GROUP,
    BEYOND_LONGS,
    BEYOND_MARGIN,
    BEYOND_NET,
    BEYOND_OPEN_RISK,
    BEYOND_SHORTS,
    LIKENESS_UNKNOWN,
    OPEN,
)

LONGS, SHORTS, STAYING_LONGS, STAYING_SHORTS, MARGIN, OPEN_RISK = range(6)


@part
def _count(sums, quantity, price, stop, leaves, leverage, size):  # type: ignore[no-untyped-def]
    """Add what is held, or comes: so much of it, a short with a minus."""
    worth, side = worth_of(abs(quantity), price, size), LONGS if quantity > 0 else SHORTS
    sums[side] += worth
    if not leaves:
        sums[STAYING_LONGS + side] += worth
    sums[MARGIN] += worth / leverage
    sums[OPEN_RISK] += max(0.0, quantity * (value_of(price, size) - value_of(stop, size)))


@part
def _net(sums):  # type: ignore[no-untyped-def]
    """What leaves may yet stay, and takes nothing off the other side."""
    return max(sums[LONGS] - sums[STAYING_SHORTS], sums[SHORTS] - sums[STAYING_LONGS])


@part
def _is_beyond(before, then, equity, most):  # type: ignore[no-untyped-def]
    return then > before and then > equity * most / 100


@part
def _sum(sums, alike, of, market, at, held, taken, opening, ticks, rules, risks, plans):  # type: ignore[no-untyped-def]
    """Of all that is held of what is still traded, and comes; or of what moves like the symbol `of`, where that is none
    below 0."""
    sums[:] = 0.0
    for s in range(len(held)):
        if market.ends[s] <= at or (of >= 0 and not alike[of, s]):
            continue
        leverage, size = risks[s]["leverage"], rules[s]["size"]
        if held[s]["quantity"] != 0:
            price, leaves = ticks[s] * rules[s]["tick"], taken[s] and not opening[s]
            _count(sums, held[s]["quantity"], price, held[s]["stop"], leaves, leverage, size)
        if opening[s]:
            _count(sums, plans[s, 4] * plans[s, 6], plans[s, 5], plans[s, 2], False, leverage, size)


@part
def beyond_caps(  # type: ignore[no-untyped-def]
    signal, market, at, book, held, taken, opening, ticks, rules, risks, plans, caps, alike, room
):
    """`OPEN`, or what keeps the signal from that. `taken`: symbols in which something of that moment was decided;
    `alike`: of each symbol those that move like it, itself among them where that is known; empty where nobody asks."""
    s = signal["symbol"]
    if len(alike) > 0 and not alike[s, s]:
        return LIKENESS_UNKNOWN
    equity = equity_of(book, held, ticks, rules)
    quantity, price, stop = plans[s, 4] * signal["side"], ticks[s] * rules[s]["tick"], plans[s, 2]
    leverage, size = risks[s]["leverage"], rules[s]["size"]
    sums = room.sums
    _sum(sums, alike, -1, market, at, held, taken, opening, ticks, rules, risks, plans)
    longs, shorts, net, margin, open_risk = sums[LONGS], sums[SHORTS], _net(sums), sums[MARGIN], sums[OPEN_RISK]
    _count(sums, quantity, price, stop, False, leverage, size)
    if _is_beyond(longs + shorts, sums[LONGS] + sums[SHORTS], equity, caps["gross"]):
        return BEYOND_GROSS
    if _is_beyond(net, _net(sums), equity, caps["net"]):
        return BEYOND_NET
    if _is_beyond(longs, sums[LONGS], equity, caps["side"]):
        return BEYOND_LONGS
    if _is_beyond(shorts, sums[SHORTS], equity, caps["side"]):
        return BEYOND_SHORTS
    if _is_beyond(margin, sums[MARGIN], equity, caps["margin"]):
        return BEYOND_MARGIN
    if _is_beyond(open_risk, sums[OPEN_RISK], equity, caps["open_risk"]):
        return BEYOND_OPEN_RISK
    if len(alike) > 0:
        _sum(sums, alike, s, market, at, held, taken, opening, ticks, rules, risks, plans)
        net = _net(sums)
        _count(sums, quantity, price, stop, False, leverage, size)
        if _is_beyond(net, _net(sums), equity, caps["group"]):
            return BEYOND_GROUP
    return OPEN
