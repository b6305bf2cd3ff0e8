"""The breakers that are tripped. Trips, says so once, and lets go when the time is over; which limit was passed is
decided elsewhere (`risk`)."""

from collections.abc import Iterable

from pipeline.execution.engine import risk
from pipeline.execution.engine.effects import Notify, ResetBreaker, TripBreaker
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.others import OTHERS
from pipeline.execution.engine.state import BreakerView
from pipeline.timeline import iso


class Breakers:
    """While one is tripped, nothing is opened: for its symbol, or at all."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._tripped: dict[str, BreakerView] = {}

    def tripped(self) -> tuple[BreakerView, ...]:
        """All of them."""
        return tuple(self._tripped.values())

    def reason_of(self, name: str) -> str | None:
        """Why that one is tripped, if it is."""
        return self._tripped[name].reason if name in self._tripped else None

    def trip(self, breaker: BreakerView | None) -> None:
        """Trip it, if there is one, unless it is tripped already and for as long."""
        news = risk.extended(self._tripped.get(breaker.name), breaker) if breaker else None
        if news is None:
            return
        self._tripped[news.name] = news
        self._memory.emit(TripBreaker(news))
        self._memory.emit(Notify("error", f"breaker {news.name}", f"{news.reason}. Nothing is opened {_end(news)}"))

    def reset(self, name: str) -> None:
        """What tripped it is over."""
        if self._tripped.pop(name, None) is not None:
            self._memory.emit(ResetBreaker(name))

    def adopt(self, tripped: Iterable[BreakerView], reset: Iterable[BreakerView] = ()) -> None:
        """Somebody else has tripped these and reset those. One that was tripped anew since is not the one that was
        reset, and stays."""
        over = set(reset)
        self._tripped = {name: one for name, one in self._tripped.items() if one not in over}
        self._tripped |= {one.name: one for one in tripped}

    def time(self, now: int) -> None:
        """Let go of those whose time is over."""
        for one in self.tripped():
            if risk.is_over(one, now):
                self.reset(one.name)


def _end(breaker: BreakerView) -> str:
    if breaker.name == risk.NOT_COMPARED:
        return "until it could be"
    if breaker.name == OTHERS:
        return "until they are gone, or `tidemark execute --take-over` was run"
    return f"until {iso(breaker.until)}" if breaker.until is not None else "until it is reset by hand"
