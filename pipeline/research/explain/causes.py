"""The causes of a difference between live and backtest, a function each: it looks at what is stored and answers with
the cause in words, or with nothing. Pure.

None is ever assigned because no other is left. What no function answers for is the rest, and stands as that.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from pipeline.exchange.products.instrument import ONE
from pipeline.research.explain.deals import ZERO, Deal, Leg
from pipeline.research.explain.heard import Heard, Judged, Stored
from pipeline.timeline import iso, to_ms
from schemas.orders import Order
from schemas.signals import Kind

Cause = Literal[
    "corrected", "late", "outage", "refused", "breaker", "skipped", "signal-only", "rival", "before", "size",
    "unfilled", "latency", "level", "slippage", "fee", "funding", "command", "hand", "liquidation", "crumbs",
    "rounding",
]  # fmt: skip
MEANINGS: Final[dict[str, str]] = {
    "corrected": "the candle of its signal was written or corrected after its close",
    "late": "its signal was seen late",
    "outage": "a process that was to hear of it did not live",
    "refused": "the exchange refused the order, or it was not sent",
    "breaker": "a breaker had tripped",
    "skipped": "a filter or a limit let it be skipped",
    "signal-only": "orders were only worked out",
    "rival": "of signals that were said at once, another strategy's came first",
    "before": "something else was held, or nothing, and no position of the window says why",
    "size": "the quantity was worked out by another price or another equity",
    "unfilled": "not all of the order was filled",
    "latency": "the price moved until it was decided",
    "level": "its stop or target stood at another price",
    "slippage": "the fill was away from the price it was decided at, or from its trigger",
    "fee": "the account paid another fee",
    "funding": "what was settled while it was held",
    "command": "it was closed by a command or a target, and not by a signal",
    "hand": "somebody else traded on the account",
    "liquidation": "the exchange closed it by force",
    "crumbs": "more or fewer coins were left over, too few to be sold",
    "rounding": "the books of the exchange have eight decimals",
}  # fmt: skip
LATE: Final = 2_000
"""A signal that was decided so much later than a backtest decides it is late, in milliseconds; before that, it took as
long as things take."""
_BOOKED: Final = Decimal("1e-8")
"""The last decimal of what an exchange books."""
_FILLS: Final = 5
"""An order may come in as many, each booked by itself."""
_NOT_SENT: Final = ("rejected", "expired", "abandoned", "cancelled")
_BY_WHAT_IS_HELD: Final = (
    "no position to ", "held by ", "a long position is held", "a short position is held", "its trial is held",
    "the position is past its trial", "what is held is a trial", "nothing is known of the position's entry",
)  # fmt: skip
_ALSO_BY_WHAT_IS_HELD: Final = (" is the most", " an entry goes to ", " an add needs an ATR", ": the position's unit ")
_BY_ANOTHER: Final = "held by "
_AFTER: Final = "after-"
_NOT_TURNED: Final = "closed, and not turned: "
_BY_OTHERS: Final = ("somebody else holds", "the position was found at the exchange")


Who = Literal["live", "the backtest"]


class Found(NamedTuple):
    """A cause, and what in the store says so. `signal`, `who`: of what was done by what was held, the signal, and whose
    verdict on it that was."""

    cause: str
    words: str
    signal: str | None = None
    who: Who = "live"


def means(cause: str) -> str:
    """A cause in words; also of what came after it."""
    first = cause.removeprefix(_AFTER)
    return (
        MEANINGS[cause] if first == cause else f"something else was held, or nothing, by this before: {MEANINGS[first]}"
    )


def after(first: Found, words: str) -> Found:
    """What followed from it: it counts by its name, and apart from it."""
    return Found(first.cause if first.cause == "before" else f"{_AFTER}{first.cause}", words)


# Why live did not do what the backtest did


def _was_refused(heard: Heard, stored: Stored) -> Found | None:
    sent = [one for one in stored.orders.get(heard.id, ()) if one.leg in {heard.kind, "exit"}]
    failed = next((one for one in sent if _has_failed(one)), None)
    return None if failed is None else Found("refused", _why_not_sent(failed))


def _was_corrected(heard: Heard, _: Stored) -> Found | None:
    """Only what was not decided live: what was, the backtest hears as it was said."""
    if heard.live.decided is not None or heard.candle is None:
        return None
    if heard.candle.close != heard.price:
        return Found("corrected", f"its candle closed at {heard.candle.close} by now, it was said at {heard.price}")
    if heard.from_history and heard.candle.written > heard.at + LATE:
        return Found(
            "corrected", f"its candle was written at {iso(heard.candle.written)}, and closed at {iso(heard.at)}"
        )
    return None


def _nobody_lived(heard: Heard, stored: Stored) -> Found | None:
    """Whoever was away as the signal was said; who decided in time was not."""
    if heard.live.verdict not in {"expired", "fresh"}:
        return None
    for one in stored.away:
        if one.since <= heard.at <= one.until:
            return Found("outage", f"the {one.role} was away from {iso(one.since)} to {iso(one.until)}")
    return None


def _came_late(heard: Heard, _: Stored) -> Found | None:
    if heard.live.verdict != "expired":
        return None
    if heard.from_history:
        return Found("late", "found in history: live it was not said in time")
    return Found("late", heard.live.reason or "it had stopped being fresh")


def _was_only_worked_out(heard: Heard, _: Stored) -> Found | None:
    if heard.live.verdict != "would-take":
        return None
    return Found("signal-only", heard.live.reason or "signal-only: nothing is sent")


def _came_second(heard: Heard, stored: Stored) -> Found | None:
    return _rival(heard, stored, "live")


def _was_skipped(heard: Heard, _: Stored) -> Found | None:
    return _skip_of(heard, "live")


MISSED: Final[tuple[Callable[[Heard, Stored], Found | None], ...]] = (
    _was_refused, _nobody_lived, _was_corrected, _came_late, _was_only_worked_out, _came_second,
    _was_skipped,
)  # fmt: skip


def only_paper(signal: str | None, stored: Stored, *, opens: bool = True) -> Found | None:
    """Why live did nothing on a signal on which the backtest opened something, or closed."""
    heard = stored.signals.get(signal or "")
    if heard is None:
        return None
    found = next((found for ask in MISSED if (found := ask(heard, stored))), None)
    return found or (_closed(heard, "live") if opens else None)


def only_live(signal: str | None, stored: Stored, *, opens: bool = True) -> Found | None:
    """Why live did something on a signal on which the backtest did nothing: what the backtest said of it."""
    heard = stored.signals.get(signal or "")
    if heard is None or heard.paper is None:
        return None
    found = _rival(heard, stored, "the backtest") or _skip_of(heard, "the backtest")
    return found or (_closed(heard, "the backtest") if opens else None)


def _judged(heard: Heard, who: Who) -> Judged | None:
    return heard.live if who == "live" else heard.paper


def _rival(heard: Heard, stored: Stored, who: Who) -> Found | None:
    """It was skipped for what another strategy holds that opened it on a signal of the same moment."""
    judged = _judged(heard, who)
    if judged is None or judged.verdict != "skipped" or not (judged.reason or "").startswith(_BY_ANOTHER):
        return None
    for one in stored.at_once[heard.symbol, heard.at]:
        other, holder = _judged(one, who), f"{_BY_ANOTHER}{one.strategy} {one.interval}"
        if other is not None and _opened(one.kind, other) and judged.reason == holder:
            words = f"{who}: {one.strategy} {one.interval} said {one.kind} at the same moment, and came first"
            return Found("rival", words)
    return None


def _opened(kind: Kind, judged: Judged) -> bool:
    """A decision that nothing bounds closes."""
    closes = judged.decided is not None and judged.decided.bound is None
    return judged.verdict == "taken" and kind in {"trial", "entry"} and not closes


def _skip_of(heard: Heard, who: Who) -> Found | None:
    """The cause that a reason for a skip names."""
    judged = _judged(heard, who)
    if judged is None or not judged.reason:
        return None
    if judged.verdict == "taken" and _NOT_TURNED in judged.reason:
        cause = _kind_of(judged.reason.partition(_NOT_TURNED)[2])
    elif judged.verdict == "skipped":
        cause = _kind_of(judged.reason)
    else:
        return None
    return Found(cause, f"{who}: {judged.reason}", heard.id if cause == "before" else None, who)


def _closed(heard: Heard, who: Who) -> Found | None:
    """A decision that nothing bounds closes: what the other did not hold any more."""
    judged = _judged(heard, who)
    if judged is None or judged.verdict != "taken" or judged.decided is None or judged.decided.bound is not None:
        return None
    return Found("before", f"{who}: it closed what was still held", heard.id, who)


def _kind_of(reason: str) -> Cause:
    if reason.startswith(("breaker ", "halted")):
        return "breaker"
    if reason.startswith(_BY_OTHERS):
        return "hand"
    if reason.startswith(_BY_WHAT_IS_HELD) or any(one in reason for one in _ALSO_BY_WHAT_IS_HELD):
        return "before"
    return "skipped"


def _has_failed(order: Order) -> bool:
    return order.state in _NOT_SENT and not order.filled


def _why_not_sent(order: Order) -> str:
    told = next((one.detail for one in reversed(order.history) if one.detail), None)
    code = "" if order.error_code is None else f" ({order.error_code})"
    return f"{order.leg} {order.state}{code}{f': {told}' if told else ''}"


# Why an order that both had came out otherwise


def resized(live: Leg, paper: Leg) -> Found | None:
    """Another quantity was ordered."""
    if live.bound != paper.bound:
        return Found("size", f"limited by {live.bound}, in the backtest by {paper.bound}")
    if live.decided is not None and paper.decided is not None and live.decided != paper.decided:
        return Found("size", f"worked out at {live.decided}, the backtest at {paper.decided}")
    if live.equity is not None and paper.equity is not None and live.equity != paper.equity:
        return Found("size", f"worked out by an equity of {live.equity}, the backtest by {paper.equity}")
    return None


def unfilled(live: Leg) -> Found | None:
    """Less was filled than was ordered."""
    if live.wanted is None or live.quantity >= live.wanted:
        return None
    return Found("unfilled", f"{live.quantity} of {live.wanted} were filled")


def moved(live: Leg, paper: Leg, stored: Stored) -> Found | None:
    """The price by which it was decided, or at which it fires, was another."""
    if live.trigger is not None and paper.trigger is not None:
        return Found("level", f"its {live.purpose} stood at {live.trigger}, the backtest's at {paper.trigger}")
    if live.decided is None or paper.decided is None or live.late is None:
        return None
    words = f"decided {live.late} ms after its signal at {live.decided}, the backtest at {paper.decided}"
    return Found(_lateness(live.late, stored), words)


def waited(live: Leg, stored: Stored) -> Found | None:
    """It was decided later than in the backtest."""
    if live.late is None or live.late <= stored.hears_after:
        return None
    return Found(_lateness(live.late, stored), f"{live.leg} decided {live.late} ms after its signal")


def _lateness(late: int, stored: Stored) -> Cause:
    return "late" if late > stored.hears_after + LATE else "latency"


def slipped(live: Leg, paper: Leg, before: Decimal, assumed: Decimal) -> Found | None:
    """The fill was elsewhere than where it was decided. `before`, `assumed`: the prices it is seen from, live and in
    the backtest."""
    if not live.is_priced or (before == live.price and assumed == paper.price):
        return None
    return Found("slippage", f"filled at {live.price} from {before}, the backtest at {paper.price} from {assumed}")


def charged(live: Leg, paper: Leg, expected: Decimal) -> Found | None:
    """The fee was another share of it. `expected`: what the backtest's share of it comes to."""
    if live.fee is None or paper.fee is None or not live.is_priced:
        return None
    if abs(live.fee - expected) <= _FILLS * _BOOKED * (max(live.price, ONE) if live.kept else ONE):
        return Found("rounding", f"{live.fee - expected} of a fee, booked fill by fill")
    return Found("fee", f"{live.fee} of {live.quantity} at {live.price}, by the backtest's share {expected}")


def settled(live: Deal, paper: Deal) -> Found:
    """What each of the two held at the settlements."""
    return Found("funding", f"{live.funding} was settled, the backtest counts {paper.funding}")


def left_over(live: Deal, paper: Deal) -> Found | None:
    """Coins are sold in lots: what is less than one of them stays."""
    mine, other = (sum((one.quantity for one in each.closing if one.leg == "crumbs"), ZERO) for each in (live, paper))
    return Found("crumbs", f"{mine} were left over, in the backtest {other}") if mine or other else None


def booked(difference: Decimal, legs: Iterable[Leg]) -> Found | None:
    """The exchange rounds each sum to its last decimal."""
    listed = list(legs)
    most = _BOOKED * _FILLS * len(listed)
    return Found("rounding", f"{difference} in {len(listed)} sums") if abs(difference) <= most else None


# Why a position ended otherwise


def ended(live: Deal, paper: Deal, stored: Stored) -> Found | None:
    """Whoever ended it first says why."""
    if failed := _failed_exit(live, stored):
        if any(one.signal == failed.signal for one in paper.closing):
            return Found("refused", f"{_why_not_sent(failed)}; another order closed it after that")
        return only_live(failed.signal, stored, opens=False)
    if found := _by_force(live):
        return found
    if _end(live) <= _end(paper):
        return _ended_by(live, paper, lambda signal: only_live(signal, stored, opens=False))
    return _ended_by(paper, live, lambda signal: only_paper(signal, stored, opens=False))


def _failed_exit(live: Deal, stored: Stored) -> Order | None:
    """What a signal was to close, and its order did not: another order closed it."""
    if all(one.leg != "flatten" for one in live.closing):
        return None
    exits = (one for sent in stored.orders.values() for one in sent if one.leg == "exit")
    return next((one for one in exits if _has_failed(one) and _is_of(one, live)), None)


def _is_of(order: Order, deal: Deal) -> bool:
    """Sent while it was held, and not for what another strategy held of the symbol."""
    is_others = order.strategy is not None and (order.strategy, order.interval) != (deal.strategy, deal.interval)
    is_within = deal.opened_at <= to_ms(order.created_at) <= _end(deal)
    return order.symbol == deal.symbol and is_within and not is_others


def _by_force(live: Deal) -> Found | None:
    for one in live.closing:
        if one.leg == "hand":
            return Found(
                "hand", f"{one.quantity} ended by no order of ours; counted at {one.price}, a price of that minute"
            )
        if one.leg == "flatten" and one.reached is None:
            return Found("command", f"{one.order} closed it: {one.why or 'a command, a target or a breaker'}")
        if one.leg == "liquidation":
            return Found("liquidation", f"{one.quantity} at {one.price}")
    return None


def _ended_by(first: Deal, other: Deal, why: Callable[[str | None], Found | None]) -> Found | None:
    last = next(one for one in reversed(first.closing) if one.leg != "crumbs")
    if last.leg == "exit":
        return why(last.signal)
    level = other.stood_at(last.purpose)
    if last.trigger is None or level is None or not _is_farther(level, last.trigger, last.purpose, first.sign):
        return None
    return Found("level", f"the {last.purpose} that ended it stood at {last.trigger}, the other's at {level}")


def _is_farther(level: Decimal, trigger: Decimal, purpose: str, sign: int) -> bool:
    """Whether the price has to go on from that trigger to come to the level."""
    on = -sign if purpose == "stop" else sign
    return on * (level - trigger) > 0


def _end(deal: Deal) -> float:
    return float("inf") if deal.closed_at is None else deal.closed_at
