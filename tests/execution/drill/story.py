"""What is said in a schedule, how much is risked for it, and which way the market drifts meanwhile. Drawn only."""

from decimal import Decimal
from random import Random

from pipeline.execution.engine.state import SignalView
from pipeline.settings import Risk
from pipeline.timeline import SECOND
from tests.execution.drill.setting import ATR, END, RISK, START, TROUBLE
from tests.execution.model import SYMBOL

OWN, STRANGERS = ("macd", "1m"), [("macd", "15m"), ("turtle", "1m")]
"""Strategy and interval of the story that is told, and of what is said beside it."""
LADDER = [("trial", False), ("entry", False), ("add", False), ("add", False)]


def draw_risk(random: Random, resting: Random, rests: float) -> Risk:
    """Room for whole units, or as much as is shipped: then they shrink until four of them fit. Of the latter half have
    all as it is shipped, but for what turns, and which orders enter."""
    room = random.choice([RISK.max_position_percent, None])
    turn = random.choice(["trials", "trials", "entries"])
    limits = {"entry_order": "limit", "limit_seconds": resting.choice([1, 5, 60])}
    entries = limits if resting.random() < rests else {}
    base = Risk() if room is None and resting.random() < 0.5 else RISK
    return base.model_copy(update={"max_position_percent": room, "turn": turn} | entries)


def draw_delisting(random: Random) -> list[int]:
    """When no order is taken any more, when what is held is settled, when nobody can ask for it: mostly never."""
    if random.random() > 0.08:
        return []
    settling = START + random.randrange(2 * SECOND, TROUBLE)
    settled = settling + random.randrange(12 * SECOND)
    return [settling, settled, max(settled, END) + 12 * SECOND]


def draw_signals(random: Random) -> tuple[dict[str, SignalView], int]:
    """The signals, and the drift."""
    side, other = random.choice([("long", "short"), ("short", "long")])
    said = []
    at = START + 500
    story = draw_story(random)
    drift = random.choice([-60, 0, 60])
    if story == LADDER and random.random() < 0.7:
        drift = 100 if side == "long" else -100
    for kind, turned in story:
        said.append((kind, other if turned else side, at, OWN))
        at += random.randrange(1, 8) * SECOND
    for _ in range(random.choice([0, 0, 1, 3])):
        kind, way = random.choice(["trial", "entry", "add", "exit"]), random.choice([side, other])
        said.append((kind, way, START + random.randrange(TROUBLE), random.choice(STRANGERS)))
    signals = {}
    for number, (kind, way, at, (strategy, interval)) in enumerate(said):
        fresh = at + random.choice([2 * SECOND, 20 * SECOND])
        confirmed = random.random() > 0.05
        signals[f"s{number}"] = SignalView(
            f"s{number}", SYMBOL, interval, strategy, kind, way, at, Decimal(0), ATR, confirmed, fresh
        )
    return signals, drift


def draw_story(random: Random) -> list[tuple[str, bool]]:
    """What one strategy says, and whether of the other side: the whole ladder, a market that turns again and again,
    or this and that."""
    which = random.random()
    if which < 0.2:
        return LADDER
    if which < 0.5:
        kinds = random.choices(["trial", "entry"], [4, 1], k=random.choice([2, 3, 4]))
        return [(kind, bool(number % 2)) for number, kind in enumerate(kinds)]
    kinds = [
        "entry",
        random.choice(["add", "entry", "exit", "trial"]),
        random.choice(["add", "add", "exit"]),
    ]
    if random.random() < 0.3:
        kinds.insert(0, "trial")
    if random.random() < 0.3:
        kinds.append("entry")
    return [(kind, kind == "entry" and number > 1 and random.random() < 0.6) for number, kind in enumerate(kinds)]
