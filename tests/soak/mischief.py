"""What is done to a running whole, and when: a plan from a seed, and how each act of it is carried out.

The plan is pure. A deck of every act is shuffled and dealt out again and again, so that a run of any length meets all
kinds; kills come at the close of a minute, when there is most to lose.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Any

import psutil

from pipeline.exchange_names import EXCHANGES, is_simulated
from pipeline.simulator.handle import RunningSimulator

MINUTE = 60.0
KILLED_EVERY = 4 * MINUTE
LIMITED_EVERY = 4 * MINUTE
LASTS = 20.0
"""Seconds after which a rule that has not struck as often as it may is taken out."""
SKEWED_FOR = 5.0
MARKETS = ("um", "um", "cm", "spot")
"""Where a rule strikes, as often as each is named."""
SIMULATED = tuple(name for name in EXCHANGES if is_simulated(name))
OF_EACH = tuple(f" of {name}" for name in SIMULATED)
VICTIMS = {
    "executor": OF_EACH,
    "ingester": OF_EACH,
    **dict.fromkeys(("mongod", "prefect", "flows", "page", "exchange"), ("",)),
}
"""Who is killed, and where there are several: which of them. The exchange only stands still for a while: its accounts
live no longer than its process, and an exchange that forgets everything is not among what is survived."""
EARLY = {
    "executor": 0.0,
    "ingester": -12.0,
    "mongod": 2.5,
    "prefect": 4.0,
    "flows": 1.0,
    "page": -5.0,
    "exchange": -3.0,
}
"""When they are killed, from the close of a minute."""
STANDS_STILL_FOR = 8.0
"""Longer than the executor waits for an answer."""
PAUSES = (0.5, 2.5)
ORDERS = "*rder"
LISTS = "/api/v3/orderList*"


@dataclass(frozen=True, slots=True)
class Act:
    """`seconds` after the beginning, this is done. Fields are those of the fault panel."""

    seconds: float
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


FRAMES: Sequence[Mapping[str, Any]] = [
    *({"kind": kind, "route": route} for kind in ("lose", "repeat", "reorder") for route in ("market", "private")),
    *({"kind": "delay", "route": route, "milliseconds": 1_500} for route in ("market", "private")),
    {"kind": "lose", "closing": True},
    {"kind": "delay", "closing": True, "milliseconds": 2_500},
    {"kind": "garble", "route": "market"},
    {"kind": "drop", "route": "market"},
    {"kind": "freeze", "route": "market"},
    {"kind": "refuse"},
]
REQUESTS: Sequence[Mapping[str, Any]] = [
    *(
        {"kind": kind, "path": ORDERS}
        for kind in (
            "unknown_before", "unknown_after", "timeout_before", "timeout_after", "reset_before", "reset_after",
            "hang_after", "overloaded",
        )
    ),
    *({"kind": kind} for kind in ("maintenance", "truncated", "invalid_json", "reset_before")),
    *({"kind": kind, "path": LISTS, "market": "spot"} for kind in ("unknown_after", "timeout_before", "reset_after")),
    {"kind": "answer_code", "code": -1021},
    {"kind": "answer_code", "code": -1001, "path": ORDERS},
    *({"kind": kind, "code": -1000, "path": ORDERS} for kind in ("answer_code", "answer_code_after")),
    {"kind": "forget", "method": "GET", "path": "*lgo*"},
    {"kind": "slow", "milliseconds": 1_200},
    {"kind": "hang_before", "path": "*klines"},
]  # fmt: skip
SKEW = -3_000
"""The exchange's clock is behind: signed requests are refused with -1021. One that showed the future would make an open
candle look closed to whoever measured it; that is not among what is survived."""
CALLS = ("cut market", "cut private", "silence market", "silence private", "expire keys", "skew")
_NEVER_TWICE = frozenset({"hang_before", "hang_after", "drop", "freeze"})


def plan(seed: int, seconds: float, first_close: float) -> list[Act]:
    """What is done in so many seconds. `first_close`: when, from the beginning, a minute closes first."""
    luck = Random(seed)
    acts = [*_deals(luck, seconds), *_limits(luck, seconds), *_kills(luck, seconds, first_close)]
    return sorted(acts, key=lambda act: act.seconds)


def _deals(luck: Random, seconds: float) -> Iterator[Act]:
    at = luck.uniform(*PAUSES)
    while True:
        deck = [*({"rule": one} for one in (*FRAMES, *REQUESTS)), *({"call": one} for one in CALLS)]
        luck.shuffle(deck)
        for card in deck:
            if at >= seconds:
                return
            yield _act(at, card, luck)
            at += luck.uniform(*PAUSES)


def _act(at: float, card: Mapping[str, Any], luck: Random) -> Act:
    if "call" in card:
        return Act(at, card["call"])
    rule = {"market": luck.choice(MARKETS), **card["rule"]}
    rule["next"] = 1 if rule["kind"] in _NEVER_TWICE else luck.randint(1, 3)
    return Act(at, "rule", rule)


def _limits(luck: Random, seconds: float) -> Iterator[Act]:
    """A 429 stops whoever gets it until the minute is over: seldom, and not in the shortest runs."""
    at = LIMITED_EVERY / 2
    while at < seconds:
        yield Act(at + luck.uniform(-MINUTE, MINUTE), "rule", {"kind": "rate_limited", "next": 1})
        at += LIMITED_EVERY


def _kills(luck: Random, seconds: float, first_close: float) -> Iterator[Act]:
    """Each victim alike often, in the first half: a life must be long enough to see whether its memory grows. Of those
    that are one of several, one after the other."""
    half = max(seconds / 2, first_close + 1)
    closes = [first_close + MINUTE * minute for minute in range(int((half - first_close) // MINUTE) + 1)]
    for victim, several in VICTIMS.items():
        ones = cycle(luck.sample(several, k=len(several)))
        for close in luck.sample(closes, k=min(len(closes), max(1, round(half / KILLED_EVERY)))):
            at = max(1.0, close + EARLY[victim] + luck.uniform(0.1, 2.0))
            yield Act(at, f"{'stop' if victim == 'exchange' else 'kill'} {victim}{next(ones)}")


@dataclass
class Mischief:
    """Carries acts out, and counts what came of them."""

    simulator: RunningSimulator
    victim: Callable[[str], psutil.Process | None]
    """By its name, if it lives."""
    done: Counter[str] = field(default_factory=Counter)
    _rules: dict[int, float] = field(default_factory=dict)
    _skewed_at: float | None = None

    def perform(self, act: Act) -> None:
        """Do it now."""
        if act.name == "rule":
            self._rules[self.simulator.faults.add(**act.fields)] = time.monotonic()
        elif act.name.startswith(("kill ", "stop ")):
            self._harm(act.name)
        else:
            self._call(act.name)
            self.done[act.name] += 1

    def _harm(self, name: str) -> None:
        """Nobody may be there."""
        word, _, whom = name.partition(" ")
        process = self.victim(whom)
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            if word == "kill":
                process.kill()
            else:
                process.suspend()
                time.sleep(STANDS_STILL_FOR)
                process.resume()
            self.done[name] += 1

    def tidy(self) -> None:
        """Take out what has struck or had its time, and set the clock right after a while."""
        now = time.monotonic()
        if self._skewed_at is not None and now - self._skewed_at > SKEWED_FOR:
            self.simulator.skew_clock(0)
            self._skewed_at = None
        for rule in self.simulator.faults.rules():
            number = rule["number"]
            if rule["struck"] >= rule["fault"]["next"] or now - self._rules[number] > LASTS:
                self.simulator.faults.remove(number)
                self._count(rule)

    def end(self) -> None:
        """Nothing is wrong with the exchange any more."""
        for rule in self.simulator.faults.rules():
            self._count(rule)
        self.simulator.faults.clear()
        self.simulator.forgive()

    def _count(self, rule: Mapping[str, Any]) -> None:
        if rule["struck"]:
            self.done[rule["fault"]["kind"]] += rule["struck"]

    def _call(self, name: str) -> None:
        word, _, what = name.partition(" ")
        if word == "cut":
            self.simulator.drop_connections(what)
        elif word == "silence":
            self.simulator.freeze_connections(what)
        elif word == "expire":
            self.simulator.expire_listen_keys()
        else:
            self.simulator.skew_clock(SKEW)
            self._skewed_at = time.monotonic()
