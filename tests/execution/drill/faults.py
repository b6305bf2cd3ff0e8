"""What goes wrong in a schedule: how often, and when. Drawn only; it does nothing."""

from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

from pipeline.timeline import SECOND
from tests.execution.drill.setting import END, POLICY, START, TROUBLE

SOON = 3_500
"""What has its end by then is known before a position would be closed for it: it is asked for 3.75 s after it fired."""
_MAY_BE_NONE = ("halt", "fired_for", "opened", "restored")


@dataclass
class Faults:
    """How bad this schedule is: chances, and moments."""

    lost_before: float
    lost_after: float
    late: float
    failed: float
    refused: float
    hangs: float
    query_fails: float
    journal_refuses: float
    slow_journal: float
    lag: int
    """How far the journal may be behind: each write waits for the one before it, a request waits for none."""
    crash: float
    repeat: float
    delay: float
    partial: float
    unmatched: float
    gaps: list[tuple[int, int]]
    used_up: list[tuple[int, int]]
    """Somebody else has used up the address's weight: what costs some is held back, orders leave."""
    by_hand: list[int]
    stops_cancelled: list[int]
    halt: int | None
    closes: list[int]
    """When a person asks for what is held to be closed. It is known by its moment: what is asked twice within one is
    asked once."""
    blind: bool
    """The exchange does not know our ids for as long as it is troubled, and the stream is down."""
    forgets: list[tuple[int, int]]
    """When the exchange shows none of the conditional orders that stand."""
    clock_steps: list[tuple[int, int]]
    """When the executor's clock is put forward or back, and by how much. The exchange refuses whatever it signs then,
    until it has been measured anew."""
    forgetful: bool
    """That, and no other fault: no position may be closed for it."""
    fired_for: int | None
    """So long the exchange does not say what became of an order that has fired; None: it says so at once."""
    slow_to_fire: bool
    """That, and no other fault but that the stream is down while it is said. What is asked for is answered."""
    listed_late: int
    """So long after a fill the exchange lists it among the trades."""
    unheard: bool
    """Somebody closes what is held and opens as much again, while the stream is down."""
    opened: int | None
    """When somebody opens a position of his own, if nothing is held then."""
    restored: tuple[int | None, int] | None
    """The process dies then, and goes on with the journal as it was at the first moment; None: with an empty one."""

    @classmethod
    def draw(cls, random: Random, firing: Random, lagging: Random) -> "Faults":
        """`firing`, `lagging`: chances of their own, so that every other schedule stays what it was."""

        def sometimes(high: float) -> float:
            return random.choice([0.0, 0.0, random.random() * high])

        def moments(most: int) -> list[int]:
            return [START + random.randrange(TROUBLE) for _ in range(random.choice([0] * 6 + [most]))]

        faults = cls(
            lost_before=sometimes(0.4),
            lost_after=sometimes(0.4),
            late=sometimes(0.3),
            failed=sometimes(0.5),
            refused=sometimes(0.4),
            hangs=sometimes(0.2),
            query_fails=sometimes(0.6),
            journal_refuses=sometimes(0.3),
            slow_journal=sometimes(0.5),
            lag=lagging.choice([0, 0, 20, 4_000]),
            crash=sometimes(0.08),
            repeat=sometimes(0.5),
            delay=sometimes(0.6),
            partial=sometimes(0.9),
            unmatched=sometimes(0.9),
            gaps=[(a, a + random.randrange(8 * SECOND)) for a in moments(2)],
            used_up=[(a, a + random.randrange(30 * SECOND)) for a in moments(2)],
            by_hand=moments(1),
            stops_cancelled=moments(2),
            halt=START + random.randrange(TROUBLE) if random.random() < 0.1 else None,
            closes=sorted(set(moments(2))),
            blind=random.random() < 0.05,
            forgets=[(a, a + random.randrange(12 * SECOND)) for a in moments(2)],
            clock_steps=[
                (a, random.choice([-1, 1]) * random.choice([15 * SECOND, 3_600 * SECOND])) for a in moments(2)
            ],
            forgetful=random.random() < 0.05,
            fired_for=firing.randrange(1, 15 * SECOND) if firing.random() < 0.3 else None,
            slow_to_fire=firing.random() < 0.05,
            listed_late=firing.randrange(1, 12 * SECOND) if firing.random() < 0.2 else 0,
            unheard=False,
            opened=None,
            restored=None,
        )
        if random.random() < 0.15:
            dies = START + random.randrange(SECOND, TROUBLE - 8 * SECOND)
            faults.restored = (random.choice([None, START + random.randrange(dies - START)]), dies)
            faults.by_hand = random.choice([faults.by_hand, [dies + random.randrange(POLICY.surely_gone)]])
        if faults.slow_to_fire:
            fired_for = firing.choice([firing.randrange(1, SOON), firing.randrange(TROUBLE // 2)])
            return faults.calm(slow_to_fire=True, fired_for=fired_for)
        if faults.forgetful:
            return faults.only_forgetful(random)
        if faults.blind:
            return replace(
                faults, gaps=[(START, END)], partial=0.0, lost_after=0.6, by_hand=[], crash=0.0, restored=None
            )
        return faults

    def unheard_by_hand(self, chance: Random) -> None:
        """Half of what is done by hand is done so. `chance`: of its own, so that the rest stays what it was."""
        self.unheard = bool(self.by_hand) and chance.random() < 0.5
        if self.unheard:
            self.gaps += [(each - 1, each + chance.randrange(1, 8 * SECOND)) for each in self.by_hand]

    def opened_by_hand(self, said: list[int], chance: Random) -> None:
        """Now and then somebody opens one while an entry may be under way. `chance`: of its own, as above."""
        if not self.blind and chance.random() < 0.08:
            self.opened = chance.choice(said) + chance.choice([chance.randrange(1, 100), chance.randrange(4 * SECOND)])

    def calm(self, **but: Any) -> "Faults":
        """No fault at all, but these."""
        none = {each.name: type(getattr(self, each.name))() for each in fields(self) if each.name not in _MAY_BE_NONE}
        return replace(self, **none | dict.fromkeys(_MAY_BE_NONE) | but)

    def only_forgetful(self, random: Random) -> "Faults":
        begin = START + random.randrange(TROUBLE // 2)
        forgets = [(begin, begin + random.randrange(1, TROUBLE // 2))]
        return self.calm(forgetful=True, forgets=forgets)
