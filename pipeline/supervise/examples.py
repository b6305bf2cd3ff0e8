"""What there is to look at before anybody has asked for it: a backtest, a small search with its verdict, and shares of
the equity for two strategies. What is there already is not made again, and what was interrupted goes on.

    python -m pipeline.supervise.examples SYMBOL

waits for the minutes of the symbol, which somebody else fetches, makes what is missing, and ends. It has no keys. It
may be killed at any moment: each of the three is kept when it is whole, and each trial as it comes.
"""

import logging
import os
import sys
from dataclasses import replace
from time import sleep, time
from typing import TYPE_CHECKING, Final

from pipeline.errors import TidemarkError, UsageError, sentence
from pipeline.settings import Settings
from pipeline.timeline import SECOND, interval
from schemas.series import SeriesKey

if TYPE_CHECKING:
    from pipeline.app.opened import Opened

log = logging.getLogger("pipeline.supervise.examples")

TWO: Final = ("macd_turtle", "bollinger")
"""One that follows what moves, and one that expects it to return."""
SEARCH: Final = "example"
TRIALS: Final = 60
HOUR: Final = "1h"
BY: Final = "demo"
_ASKED_EVERY: Final = 1.0
_FEWEST_DAYS: Final = 120
"""So many are needed for six folds in each of which a Sharpe can be said."""


def are_wanted(settings: Settings) -> bool:
    """Who has named strategies says himself what is to be tried, and what trades."""
    return not settings.strategies and not settings.strategy_paths


def make(tm: "Opened", symbol: str) -> None:
    """What is missing of them."""
    run = kept_run(tm)
    if run is None or not is_searched(tm):
        wait_for_minutes(tm, symbol)
    run = run or backtested(tm, symbol)
    share_out(tm, run)
    if not is_searched(tm):
        searched(tm, symbol)


def kept_run(tm: "Opened") -> str | None:
    """The newest backtest of the two, if there is one."""
    from pipeline.store.runs import RunStore  # noqa: PLC0415

    newest = RunStore(tm.db, tm.environment).newest(50)
    return next((one.id for one in newest if one.inputs.strategies == list(TWO)), None)


def is_searched(tm: "Opened") -> bool:
    """Whether any search has its verdict."""
    from pipeline.store.searches import SearchStore  # noqa: PLC0415

    return any(one.ended_at is not None for one in SearchStore(tm.db, tm.environment).newest(50))


def wait_for_minutes(tm: "Opened", symbol: str) -> None:
    """Until none is missing of the days that the settings want, or of those since it was listed."""
    from pipeline.history.plan import lacking, wanted  # noqa: PLC0415
    from pipeline.store.series import SeriesStore  # noqa: PLC0415
    from pipeline.store.symbols import SymbolStore  # noqa: PLC0415
    from pipeline.timeline import to_ms  # noqa: PLC0415

    key, step = SeriesKey(tm.environment, symbol, "1m"), interval("1m")
    rules = SymbolStore(tm.db).get(tm.environment, symbol)
    if rules is None:
        raise UsageError(f"{symbol} is not known at {tm.environment}")
    days, listed, delivered = tm.settings.history_days, to_ms(rules.onboarded), to_ms(rules.delivery)
    while (window := wanted(step, int(time() * SECOND), days, listed, delivered)) is not None:
        known = SeriesStore(tm.db).get(key)
        if known is not None and not lacking(known, step, window):
            return
        sleep(_ASKED_EVERY)


def backtested(tm: "Opened", symbol: str) -> str:
    """The two in one account, over all that is stored; under which name it is kept."""
    from pipeline.app.backtest import backtest  # noqa: PLC0415
    from pipeline.app.runs import AskedFor, keep  # noqa: PLC0415

    found = backtest(tm, TWO, symbols=[symbol])
    run = keep(tm, found, AskedFor(TWO, [symbol]))
    log.info("backtest %s: %s", run, found.title)
    return run


def share_out(tm: "Opened", run: str) -> None:
    """The equity, by equal risk, unless somebody has shared it out before."""
    from pipeline.app.allocation import allocate, allocation  # noqa: PLC0415
    from pipeline.app.shares import by_equal_risk  # noqa: PLC0415

    if allocation(tm) is not None:
        return
    found = by_equal_risk(tm, run)
    allocate(tm, found.shares, by=BY, reason=found.why, rule=found.rule)
    log.info("%s", found.why)


def searched(tm: "Opened", symbol: str) -> None:
    """A few sets of the first of the two; one that was interrupted goes on, if nothing that it went by has changed."""
    from pipeline.app.search import search  # noqa: PLC0415
    from pipeline.app.searched import SearchFor, resumed  # noqa: PLC0415
    from pipeline.store.searches import SearchStore  # noqa: PLC0415

    days = tm.settings.history_days
    objective, folds = ("sharpe", 6) if days >= _FEWEST_DAYS else ("return_pct", 2)
    code = HOUR if HOUR in tm.settings.intervals else tm.settings.intervals[0]
    asked = SearchFor(
        strategy=TWO[0], symbols=[symbol], interval=code, trials=TRIALS, objectives=[objective], folds=folds
    )
    kept = SearchStore(tm.db, tm.environment).get(SEARCH)
    try:
        found = search(tm, replace(asked, name=SEARCH) if kept is None else resumed(tm, SEARCH))
    except UsageError as error:
        if kept is None:
            raise
        log.info("%s Another one is made", sentence(error))
        found = search(tm, asked)
    log.info("search %s: %s", found.search.id, found.verdict.word)


def main() -> int:
    """Behind everything that is live; the exit code."""
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    os.nice(10)
    try:
        with Opened(begin()) as tm:
            make(tm, sys.argv[1])
    except TidemarkError as error:
        log.warning("%s The next start goes on", sentence(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
