"""One soak: the demo starts, its exchange misbehaves for a while, then it is quiet, and everything is compared.

What it finds wrong is in the report; an exception is only for what kept it from looking.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError
from pipeline.simulator.handle import SimulatorError
from pipeline.store import connect
from pipeline.store.control import ControlStore
from pipeline.store.mongod.server import Server
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import MINUTE, to_datetime
from tests.cli.three_accounts import accounts_of
from tests.soak.checks import Check, Judge
from tests.soak.demo import EXCHANGE_ENDED, READY, Demo, DemoError, becomes_true
from tests.soak.explaining import explained, is_explained
from tests.soak.memory import Life, Memory
from tests.soak.mischief import SIMULATED, Act, Mischief, plan
from tests.soak.onlooker import Onlooker, looking

STARTS_WITHIN = 400.0
AFTER_A_CLOSE = 8.0
"""A run has at least one close, and goes on for so long after the first: a strategy speaks only at a close."""
LOOKED_EVERY = 1.0
SAMPLED_EVERY = 3.0
TOLD_EVERY = 15.0
RESET_EVERY = 20.0
ASKED_EVERY = 30.0
ASKED_AGAIN_AFTER = 120.0
"""A run that was asked for may have to wait for others; one more of it would only make them wait longer."""
CLIENT_OPTIONS = "&serverSelectionTimeoutMS=3000"

Say = Callable[[str], None]


@dataclass
class Report:
    """How it went."""

    seed: int
    planned: float
    checks: list[Check] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    breakers: int = 0
    lives: list[Life] = field(default_factory=list)
    explained: list[dict[str, Any]] = field(default_factory=list)
    quiet_after: float | None = None
    ended_within: float | None = None

    @property
    def reasons(self) -> list[str]:
        """What is wrong; nothing if it went well."""
        return [f"{check.name}: {one}" for check in self.checks for one in check.wrong]


@dataclass
class Soak:
    """One run, in this data folder."""

    home: Path
    seed: int
    seconds: float
    patience: float
    say: Say
    memory: Memory = field(default_factory=Memory)
    onlooker: Onlooker = field(init=False)
    _asked: dict[str, float] = field(default_factory=dict)
    _next: dict[str, float] = field(default_factory=dict)

    def run(self) -> Report:
        """From nothing to the report."""
        demo, report = Demo(self.home), Report(self.seed, self.seconds)
        with demo.running(), last_words(demo):
            exchange = demo.exchange()
            demo.wait_for(READY, STARTS_WITHIN)
            uri = Server(self.home).uri + CLIENT_OPTIONS
            with (
                connect.client(uri) as client,
                accounts_of(demo.house, client["tidemark"]) as accounts,
                looking(demo.link()) as self.onlooker,
            ):
                trade_by_the_minute(client["tidemark"], exchange.now())
                judge = Judge(accounts.desks, exchange.now())
                mischief = Mischief(exchange, demo.victim)
                self._misbehave(demo, mischief, judge, report)
                mischief.end()
                report.faults = dict(sorted(mischief.done.items()))
                self.say("the faults are over")
                self._settle(demo, replace(judge, quiet_since=datetime.now(UTC)), report)
                report.explained = [one for desk in accounts.desks for one in explained(demo.house, desk.exchange)]
                report.checks.append(is_explained(report.explained))
            report.checks.append(_ended(demo, report))
        report.lives = self.memory.lives
        grown = list(self.memory.complaints(report.planned))
        report.checks.append(Check("memory is flat", f"{sum(one.is_long for one in report.lives)} long lives", grown))
        return report

    def _misbehave(self, demo: Demo, mischief: Mischief, judge: Judge, report: Report) -> None:
        first_close = (MINUTE - judge.since % MINUTE) / 1000
        report.planned = max(self.seconds, first_close + AFTER_A_CLOSE)
        acts = plan(self.seed, report.planned, first_close)
        self.say(f"seed {self.seed}: {len(acts)} acts in {report.planned:.0f} s")
        began = time.monotonic()
        while acts or time.monotonic() - began < report.planned:  # a look may take longer than all that is planned
            now = time.monotonic() - began
            while acts and acts[0].seconds <= now:
                self._perform(mischief, acts.pop(0))
            self._look(judge, report, now)
            if self._is_due("sampled", SAMPLED_EVERY):
                self.memory.sample(demo.processes(), time.monotonic())
            if self._is_due("tidied", 1.0):
                mischief.tidy()
            time.sleep(0.05)

    def _perform(self, mischief: Mischief, act: Act) -> None:
        mischief.perform(act)
        if act.name != "rule":
            self.say(act.name)

    def _settle(self, demo: Demo, judge: Judge, report: Report) -> None:
        """Look until every law holds, or patience is over; the last look counts."""
        began, asking = time.monotonic(), Thread()
        while True:
            now = time.monotonic() - began
            report.checks = [*judge.look(), self.onlooker.check(judge.exchange.now())]
            if all(check.fine for check in report.checks):
                report.quiet_after = now
                return
            if now > self.patience:
                return
            if self._is_due("asked", ASKED_EVERY) and not asking.is_alive():
                asking = Thread(target=self._ask_for_runs, args=(demo, judge), daemon=True)
                asking.start()
            if self._is_due("missed", TOLD_EVERY):
                self.say(f"not yet: {'; '.join(report.reasons)}"[:500])
            self._look(judge, report, now)
            time.sleep(LOOKED_EVERY)

    def _ask_for_runs(self, demo: Demo, judge: Judge) -> None:
        """Of what is due too seldom to wait for; it may be in vain while Prefect comes up again. Whoever asks may have
        to wait long, and the laws are looked at meanwhile."""
        with suppress(PyMongoError, TidemarkError):
            for name in judge.idle_deployments():
                if time.monotonic() >= self._asked.get(name, -ASKED_AGAIN_AFTER) + ASKED_AGAIN_AFTER:
                    demo.start_flow(name)
                    self._asked[name] = time.monotonic()

    def _look(self, judge: Judge, report: Report, now: float) -> None:
        if self._is_due("seen", SAMPLED_EVERY):
            self.onlooker.look()
        if self._is_due("reset", RESET_EVERY):
            with suppress(PyMongoError):
                report.breakers += reset_breakers(judge.database, judge.exchange.now())
        if self._is_due("told", TOLD_EVERY):
            with suppress(PyMongoError):
                self.say(f"{now:4.0f} s: {progress(judge.database)}")

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._next.get(what, 0.0):
            return False
        self._next[what] = now + every
        return True


@contextmanager
def last_words(demo: Demo) -> Iterator[None]:
    """An exchange that is gone is a failure of the demo: it is given time to say why."""
    try:
        yield
    except SimulatorError as failure:
        becomes_true(lambda: EXCHANGE_ENDED in demo.said.read_text(encoding="utf-8"), 20)
        raise DemoError(
            f"{failure}. The demo said last:\n{demo.said.read_text(encoding='utf-8')[-6_000:]}"
        ) from failure


def trade_by_the_minute(database: Database[dict[str, Any]], now: int) -> None:
    """Where strategies have no books, what is held by one on longer candles would keep all others away from its
    symbol."""
    for exchange in SIMULATED:
        control = ControlStore(database, exchange)
        for symbol in {key.symbol for key in Watchlist(database, exchange).wanted()}:
            control.set_trading(symbol, {"intervals": ["1m"]}, by="soak", now=to_datetime(now))


def reset_breakers(database: Database[dict[str, Any]], now: int) -> int:
    """What a person would do after reading why: let go what only a person lets go. How many there were."""
    reset = 0
    for control in (ControlStore(database, exchange) for exchange in SIMULATED):
        tripped = [one for one in control.read().breakers.values() if one.tripped]
        reset += sum(control.reset(one.name, now=to_datetime(now), reason="seen") for one in tripped)
    return reset


def progress(database: Database[dict[str, Any]]) -> str:
    """How far it is."""
    live = database.signals.count_documents({"source": "live"})
    taken = database.signals.count_documents({"verdict": "taken"})
    orders, filled = database.orders.count_documents({}), database.orders.count_documents({"state": "filled"})
    return f"{live} live signals, {taken} taken, {orders} orders, {filled} filled"


def _ended(demo: Demo, report: Report) -> Check:
    def end() -> str:
        report.ended_within = demo.interrupt()
        return f"within {report.ended_within:.1f} s of Ctrl-C"

    return _tried("no process is left", end)


def _tried(name: str, do: Callable[[], str]) -> Check:
    try:
        return Check(name, do())
    except DemoError as failure:
        return Check(name, "", [str(failure)])


@contextmanager
def timed(say: Say) -> Iterator[Say]:
    """Every line with the seconds since the beginning."""
    began = time.monotonic()
    yield lambda text: say(f"{time.monotonic() - began:6.1f}  {text}")
