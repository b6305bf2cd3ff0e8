"""What was held, or not, when a signal came is no cause by itself: a difference before it is. This leads it back, from
one position to the one before, to the difference that stands at the beginning. Pure.

What followed from something that nothing explains is not explained either.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Final, NamedTuple

from pipeline.research.explain import causes
from pipeline.research.explain.causes import Found, Who, after
from pipeline.research.explain.deals import Deal, Key
from pipeline.research.explain.heard import Heard, Stored
from pipeline.timeline import iso

_OF_ALL: Final = " positions are open, and "


class Pair(NamedTuple):
    """A position as live and the backtest have it. `one`: whichever of them does, live before the other."""

    one: Deal
    live: Deal | None = None
    paper: Deal | None = None


class Trace:
    """All positions of a window, to look for the one that stood in the way."""

    def __init__(self, pairs: Iterable[Pair], stored: Stored) -> None:
        self._stored = stored
        self._pairs: dict[str, list[Pair]] = {}
        for one in sorted(pairs, key=lambda pair: pair.one.opened_at):
            self._pairs.setdefault(one.one.symbol, []).append(one)

    def back(self, found: Found | None) -> Found | None:
        """The cause itself; or, where it is what was held, what that came from. None: nothing says why."""
        first, began, met = found, None, set[str]()
        while first is not None and first.signal is not None and first.signal not in met:
            met.add(first.signal)
            heard = self._stored.signals[first.signal]
            pair = next(self._in_the_way(heard, first.who), None)
            if pair is None:
                break
            first, began = self._differs(pair, heard), pair.one
        if found is None or first is None or began is None:
            return first
        where = f"{began.symbol} {began.side} of {began.strategy} at {iso(began.opened_at)}"
        return after(first, f"{found.words}; it began with {where}: {first.words}")

    def _in_the_way(self, heard: Heard, who: Who) -> Iterator[Pair]:
        """Positions that were not the same on both sides as the signal came: that which `who` held, before others."""
        judged = heard.live if who == "live" else heard.paper
        of_all = judged is not None and _OF_ALL in (judged.reason or "")
        looked_at = chain(*self._pairs.values()) if of_all else self._pairs.get(heard.symbol, ())
        near = [(one, *self._held(one, heard)) for one in looked_at if one.one.signal != heard.id]
        yield from (one for one, live, paper in near if live is not paper and live is (who == "live"))
        yield from (one for one, live, paper in near if live is not paper and live is not (who == "live"))
        yield from (one for one, live, paper in near if live and paper and _steps(one.live) != _steps(one.paper))

    def _held(self, pair: Pair, heard: Heard) -> tuple[bool, bool]:
        """Whether each of them held it when it came to that signal."""
        came = heard.at + self._stored.hears_after
        return _is_held(pair.live, heard.live.at or came), _is_held(pair.paper, came)

    def _differs(self, pair: Pair, heard: Heard) -> Found | None:
        """Why it was not the same on both sides."""
        live, paper, stored = pair.live, pair.paper, self._stored
        if paper is None:
            return causes.only_live(pair.one.signal, stored)
        if live is None:
            return causes.only_paper(pair.one.signal, stored)
        if all(self._held(pair, heard)):
            return _grown_otherwise(live, paper, heard, stored)
        if _ends(live) != _ends(paper):
            return causes.ended(live, paper, stored)
        return _at_another_time(live, paper, stored)


def _is_held(deal: Deal | None, moment: int) -> bool:
    return deal is not None and deal.opened_at <= moment and (deal.closed_at is None or deal.closed_at > moment)


def _steps(deal: Deal | None) -> dict[Key, Decimal]:
    return {} if deal is None else {one.key: one.quantity for one in deal.entering}


def _ends(deal: Deal) -> list[Key]:
    return list(dict.fromkeys(one.key for one in deal.closing if one.leg != "crumbs"))


def _grown_otherwise(live: Deal, paper: Deal, heard: Heard, stored: Stored) -> Found | None:
    """Of both the same position: a step that only one of them made, or a step of another size."""
    ours, theirs = ({one.key: one for one in deal.entering} for deal in (live, paper))
    legs = sorted((ours | theirs).items(), key=lambda each: each[1].at)
    for key, one in legs:
        if key in ours and key in theirs:
            if ours[key].quantity != theirs[key].quantity:
                return causes.unfilled(ours[key]) or causes.resized(ours[key], theirs[key])
        elif key[0] != heard.id:
            ask = causes.only_live if key in ours else causes.only_paper
            return ask(one.signal, stored)
    return None


def _at_another_time(live: Deal, paper: Deal, stored: Stored) -> Found:
    """The same orders, sooner or later."""
    legs = sorted((*live.entering, *live.closing), key=lambda one: one.late or 0)
    waited = causes.waited(legs[-1], stored)
    return waited or Found("latency", f"it ended at {_at(live)}, in the backtest at {_at(paper)}")


def _at(deal: Deal) -> str:
    return "no time" if deal.closed_at is None else iso(deal.closed_at)
