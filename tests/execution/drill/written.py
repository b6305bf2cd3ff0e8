"""A schedule whose every step is written down: what is said, and what happens when. Nothing fails of itself, the price
stands, an answer takes as long as any other, and nothing is drawn.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from random import Random

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.state import SignalView
from pipeline.timeline import SECOND
from schemas.signals import Kind, Side
from tests.execution.drill.faults import Faults
from tests.execution.drill.schedule import Schedule
from tests.execution.drill.setting import ATR, POLICY, RISK, START
from tests.execution.drill.story import OWN
from tests.execution.model import SYMBOL

ANSWER = 20
"""Milliseconds that an answer takes."""

Step = tuple[float, Callable[["Written", int], None]]
"""At that second, do this."""


def said(at: float, kind: Kind, side: Side, *, fresh_for: float = 100) -> SignalView:
    """What the strategy says at that second."""
    moment, fresh_until = START + round(at * SECOND), START + round((at + fresh_for) * SECOND)
    return SignalView(f"at {at}", SYMBOL, OWN[1], OWN[0], kind, side, moment, Decimal(0), ATR, True, fresh_until)


class Written(Schedule):
    """What is said, and the steps beside it. `turn`: what turns a position."""

    def __init__(self, says: Iterable[SignalView], steps: Iterable[Step] = (), *, turn: str = "trials") -> None:
        self._says, self._turn = says, turn
        self.heard: list[ev.Event] = []
        """What the executor was told, in that order."""
        super().__init__(0)
        for second, do in steps:
            self.at(START + round(second * SECOND), lambda now, do=do: do(self, now))

    def draw(self, seed: int, rests: float) -> None:
        self.faults = Faults.draw(Random(0), Random(0), Random(0)).calm()
        self.policy = replace(POLICY, risk=RISK.model_copy(update={"turn": self._turn}))
        self.signals, self.drift, self.delisted = {one.id: one for one in self._says}, 0, []

    def walk(self, drift: int, now: int) -> None:
        """The price stands."""

    def feed(self, event: ev.Event, now: int) -> None:
        self.heard.append(event)
        super().feed(event, now)

    def quick(self, now: int) -> int:
        return now + ANSWER

    def die(self, now: int) -> None:
        """The process dies, and its journal is lost; another goes on with the backup, if there is one."""
        self.faults.restored = None, now
        self.lose_the_journal(now)
        self.at(now + POLICY.surely_gone, self.restore)

    def put_clock(self, by: float) -> None:
        """The clock is off by so many seconds from now on."""
        self.set_clock(round(by * SECOND))
