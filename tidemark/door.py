"""The door itself: what is opened, and what it can be asked and told. Every answer is a polars table.

It calls `pipeline.app` and nothing below it, and loads that when it is first asked: it decides nothing itself.
"""

import weakref
from typing import TYPE_CHECKING, Literal, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path
    from types import TracebackType

    import polars as pl

    from pipeline.app.opened import Opened
    from pipeline.app.runs import Kept
    from tidemark.backtest import Backtest
    from tidemark.explain import Explanation
    from tidemark.search import FoundSearch
    from tidemark.why import AccountWhy

    Moment = datetime | str
    """A time, or its ISO 8601 text; without a zone it is UTC."""
    Names = str | Sequence[str]
    """One name, or several."""

T = TypeVar("T")


def open(  # noqa: A001 - `tidemark.open()`
    home: "str | Path | None" = None, uri: str | None = None, *, exchange: str | None = None
) -> "Tidemark":
    """Open what the settings name: `tidemark.toml` in the working folder and `TIDEMARK_...` variables, as for the
    command.

    `home`: the data folder instead, with its own database, which is started if it does not run. `uri`: a MongoDB.
    `exchange`: which one it is about, for example `"binance-cm"`. Nothing is connected before the first question.
    """
    from pipeline.app.opened import Opened, settings_for  # noqa: PLC0415

    return Tidemark(Opened(settings_for(home, uri).at(exchange)), is_named=exchange is not None)


class Tidemark:
    """One Tidemark, from `tidemark.open()` to `close()`, to the end of a `with` block, or to the end of the program."""

    def __init__(self, opened: "Opened", *, is_named: bool = False) -> None:
        self._opened = opened
        self._is_named = is_named
        self._closing = weakref.finalize(self, opened.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        from pipeline.app.beside import place_of  # noqa: PLC0415

        return f"<Tidemark {place_of(self._opened.settings)}>"

    def close(self) -> None:
        """Let the database go. An embedded one that nobody else uses ends."""
        self._closing()

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        days: float | None = None,
        last: int | None = None,
        start: "Moment | None" = None,
        end: "Moment | None" = None,
    ) -> "pl.DataFrame":
        """Stored candles with their indicators, oldest first; all of them unless told otherwise.

        `days` back from now, or from `start` to `end`, both inclusive; of these the `last`. The candle that is open now
        is among them (`closed` is False). An indicator that is not known yet is NaN.
        """
        from pipeline.app.candles import candles  # noqa: PLC0415
        from tidemark.frames import since_days, to_moment  # noqa: PLC0415

        first = since_days(days, "start", to_moment("start", start))
        stop = to_moment("end", end)
        begin = 0 if first is None and last is None else first
        return self._ask(lambda tm: candles(tm, symbol, interval, first=begin, stop=stop, last=last)).frame

    def signals(
        self,
        *,
        symbol: str | None = None,
        strategy: str | None = None,
        interval: str | None = None,
        since: "Moment | None" = None,
        fresh: bool = False,
        include_open: bool = False,
        sort: Literal["at", "return"] = "at",
        limit: int | None = 1_000,
    ) -> "pl.DataFrame":
        """Signals and what came of them, newest first, or the best first with `sort="return"`; at most `limit`, or all
        with None.

        `return_pct` is the return at `current_price`, the newest stored price, as it is at this moment: in percent,
        positive when the price went the signal's way. `since`: also how long ago, like `"12h"`, `"2d"` or `"4w"`.
        `fresh`: only what can be acted on now. `include_open`: also what strategies would say if the open candle closed
        as it is.
        """
        from pipeline.app.signals import asked_for, rows  # noqa: PLC0415
        from tidemark.frames import SIGNAL_COLUMNS, signals_frame, to_since  # noqa: PLC0415

        def ask(tm: "Opened") -> "pl.DataFrame":
            asked = asked_for(
                tm, symbol=symbol, strategy=strategy, interval=interval, since=to_since("since", since),
                only_fresh=fresh, include_open=include_open,
            )  # fmt: skip
            return signals_frame(rows(tm, asked, sort, limit or 2**31 - 1, SIGNAL_COLUMNS))

        return self._ask(ask)

    def performance(
        self,
        by: "Names" = "strategy",
        *,
        symbol: str | None = None,
        strategy: str | None = None,
        interval: str | None = None,
        since: "Moment | None" = None,
    ) -> "pl.DataFrame":
        """How well signals did after 1 hour, 4 hours, 1 day and 7 days, by any of `strategy`, `symbol`, `interval` and
        `month`: how many are that old, their hit rate, mean and median return in percent after fees. The best median
        after a day comes first.
        """
        from pipeline.app.signals import asked_for, performance  # noqa: PLC0415
        from tidemark.frames import performance_frame, to_grouping, to_since  # noqa: PLC0415

        grouping = to_grouping(by)

        def ask(tm: "Opened") -> "pl.DataFrame":
            asked = asked_for(tm, symbol=symbol, strategy=strategy, interval=interval, since=to_since("since", since))
            return performance_frame(grouping, performance(tm, asked, grouping))

        return self._ask(ask)

    def backtest(
        self,
        strategies: "Names" = (),
        *,
        symbols: "Names" = (),
        everything: bool = False,
        intervals: "Names" = (),
        days: float | None = None,
        start: "Moment | None" = None,
        end: "Moment | None" = None,
        equity: float | None = None,
        exact: bool = False,
        through_holes: bool = False,
        progress: bool = True,
        **parameters: object,
    ) -> "Backtest":
        """Would it have earned? The executor's own decisions over stored candles, filled on 1m candles: without names,
        what runs now; over all of the last 300 days that is stored, unless told otherwise. Nothing is sent anywhere.

        `equity`: what the account begins with; usual are 10,000, or as many coins as that bought. `through_holes`: also
        where a position was held over minutes that are not stored. `everything`: all symbols that traded then, also
        those that do not any more, as far as their candles are stored.

        What is left over goes to the one strategy that is named: `tm.backtest("macd_cross", fast=8)`.
        """
        from pipeline.app.backtest import backtest  # noqa: PLC0415
        from pipeline.app.progress import days_done  # noqa: PLC0415
        from pipeline.app.why import of_backtest  # noqa: PLC0415
        from tidemark.backtest import Backtest  # noqa: PLC0415
        from tidemark.frames import to_moment, to_names, to_sum  # noqa: PLC0415

        names, of, codes = to_names(strategies), to_names(symbols), to_names(intervals)
        first, last = to_moment("start", start), to_moment("end", end)
        with days_done(shown=progress) as told:
            return Backtest(
                self._ask(
                    lambda tm: backtest(
                        tm, names, symbols=of, everything=everything, intervals=codes, days=days, start=first,
                        end=last, equity=to_sum(equity), parameters=parameters, exact=exact,
                        through_holes=through_holes, progress=told,
                    )
                ),
                lambda found: self._ask(lambda tm: of_backtest(tm, found)),
            )  # fmt: skip

    def search(
        self,
        strategy: str,
        *,
        symbols: "Names" = (),
        interval: str | None = None,
        space: "Mapping[str, Sequence[object]] | None" = None,
        days: float | None = None,
        start: "Moment | None" = None,
        end: "Moment | None" = None,
        equity: float | None = None,
        trials: int = 200,
        sampler: str = "random",
        seed: int = 1,
        objectives: "Names" = "sharpe",
        walk_forward: int = 6,
        anchored: bool = False,
        prune: bool = False,
        through_holes: bool = False,
        sealed: float = 0.15,
        name: str | None = None,
        workers: int = 1,
        cluster: str | None = None,
        progress: bool = True,
        **parameters: object,
    ) -> "FoundSearch":
        """Which parameters would have earned? Sets of them over stored candles, each kept as a trial; what was best on
        a stretch is judged on the stretch behind it. `space`: names and their values, `{"n": range(5, 61, 5)}`; without
        it what the strategy declares. `workers`: so many processes of this machine; `cluster`: the address of a Dask
        cluster. What is left over is a parameter that stays."""
        from pipeline.app.progress import trials_done  # noqa: PLC0415
        from pipeline.app.search import SearchFor, search  # noqa: PLC0415
        from pipeline.app.trying import workers_of  # noqa: PLC0415
        from tidemark.frames import to_moment, to_names, to_sum  # noqa: PLC0415
        from tidemark.search import FoundSearch  # noqa: PLC0415

        asked = SearchFor(
            strategy=strategy, symbols=to_names(symbols), interval=interval, parameters=parameters,
            space=[f"{axis}={','.join(map(str, values))}" for axis, values in (space or {}).items()], days=days,
            start=to_moment("start", start), end=to_moment("end", end),
            equity=to_sum(equity), trials=trials,
            sampler=sampler, seed=seed, objectives=to_names(objectives), folds=walk_forward, anchored=anchored,
            prune=prune, through_holes=through_holes, sealed=sealed, name=name,
        )  # fmt: skip
        at_work = workers_of(self._opened.settings.home / "search", workers, cluster)
        with at_work as those, trials_done(shown=progress) as told:
            return FoundSearch(self._ask(lambda tm: search(tm, asked, workers=those, progress=told)))

    def trials(self, search: str) -> "pl.DataFrame":
        """The trials of a search that was kept, the best first: a row a trial."""
        from pipeline.app.searched import trials  # noqa: PLC0415
        from tidemark.search import trials_frame  # noqa: PLC0415

        return trials_frame(self._ask(lambda tm: trials(tm, search))[1])

    def runs(self, most: int = 20) -> "pl.DataFrame":
        """Backtests that were kept, the newest first, with their figures; and whether their candles changed since."""
        from pipeline.app.runs import runs  # noqa: PLC0415
        from tidemark.backtest import runs_frame  # noqa: PLC0415

        return runs_frame(self._ask(lambda tm: runs(tm, most)))

    def run(self, name: str) -> "Kept":
        """One of them, by its name."""
        from pipeline.app.runs import run  # noqa: PLC0415

        return self._ask(lambda tm: run(tm, name))

    def account(self, by: Literal["day", "month"] = "day", *, days: int | None = None) -> "pl.DataFrame":
        """What the account was worth at the end of each day or month, and what that brought: as the executor stored it.
        The last row is today; where it is counted in several coins, of each. Money is exact (Decimal)."""
        from pipeline.app.account import accounts  # noqa: PLC0415
        from tidemark.frames import periods_frame  # noqa: PLC0415

        self._require_its_place()
        return periods_frame(one for each in self._ask(lambda tm: accounts(tm, by, days)) for one in each.periods)

    def why(self) -> "AccountWhy":
        """Why the account's months earned, and those not: what was different about the market, and what trades had in
        common. By all snapshots and the whole journal of orders."""
        from pipeline.app.why import of_account  # noqa: PLC0415
        from tidemark.why import AccountWhy  # noqa: PLC0415

        self._require_its_place()
        return AccountWhy(self._ask(of_account))

    def explain(
        self,
        *,
        since: "Moment | None" = None,
        until: "Moment | None" = None,
        symbol: str | None = None,
        strategy: str | None = None,
        progress: bool = True,
    ) -> "Explanation":
        """Why live did not earn what a backtest of the same signals says: each difference with its cause and its cost,
        over the last seven days. `since`: also how long ago, like `"12h"`, `"2d"` or `"4w"`. Nothing is sent anywhere.
        """
        from pipeline.app.explain import explain  # noqa: PLC0415
        from pipeline.app.progress import days_done  # noqa: PLC0415
        from tidemark.explain import Explanation  # noqa: PLC0415
        from tidemark.frames import to_moment, to_since  # noqa: PLC0415

        self._require_its_place()
        begin, end = to_since("since", since), to_moment("until", until)
        with days_done(shown=progress) as told:
            found = self._ask(
                lambda tm: explain(tm, since=begin, until=end, symbol=symbol, strategy=strategy, progress=told)
            )
        return Explanation(found)

    def adopt_slippage(
        self, *, since: "Moment | None" = None, reason: str | None = None, progress: bool = True
    ) -> dict[str, "Decimal"]:
        """From now on backtests and searches assume the slippage that live's fills had, over the last seven days or
        since then: in basis points, of symbols with enough fills by themselves, and of all `others`."""
        from pipeline.app.explain import explain  # noqa: PLC0415
        from pipeline.app.progress import days_done  # noqa: PLC0415
        from pipeline.app.slippage import adopt  # noqa: PLC0415
        from pipeline.app.trading_access import operator  # noqa: PLC0415
        from tidemark.frames import to_since  # noqa: PLC0415

        self._require_its_place()
        begin = to_since("since", since)
        with days_done(shown=progress) as told:
            found = self._ask(
                lambda tm: adopt(tm, explain(tm, since=begin, progress=told), by=operator(), reason=reason)
            )
        return {**found.symbols, "others": found.points}

    def forget_slippage(self, *, reason: str | None = None) -> None:
        """From now on they assume what is usual again."""
        from pipeline.app.slippage import forget  # noqa: PLC0415
        from pipeline.app.trading_access import operator  # noqa: PLC0415

        self._require_its_place()
        self._ask(lambda tm: forget(tm, by=operator(), reason=reason))

    def positions(self) -> "pl.DataFrame":
        """What is held, and the stop that protects it. Money is exact (Decimal)."""
        from pipeline.app.account import positions  # noqa: PLC0415
        from tidemark.frames import positions_frame  # noqa: PLC0415

        self._require_its_place()
        return positions_frame(self._ask(positions).positions)

    def portfolio(self) -> "pl.DataFrame":
        """What all positions come to together, and what of each cap is used: in percent of the equity. `is_over`: more
        is held than is allowed; nothing more of it is opened, and nothing is closed for it. `refuses`: what would not
        be opened now, in words."""
        from pipeline.app.portfolio import portfolios  # noqa: PLC0415
        from tidemark.frames import portfolio_frame  # noqa: PLC0415

        self._require_its_place()
        return portfolio_frame(self._ask(portfolios))

    def allocation(self) -> "pl.DataFrame":
        """How much of the equity each strategy goes by, in percent, and what the newest that it follows says. No row:
        each goes by all of it."""
        from pipeline.app.allocation import allocation  # noqa: PLC0415
        from pipeline.app.rebalancing import rebalancing  # noqa: PLC0415
        from tidemark.frames import allocation_frame  # noqa: PLC0415

        self._require_its_place()
        return self._ask(lambda tm: allocation_frame(found := allocation(tm), rebalancing(tm, found)))

    def series(self) -> "pl.DataFrame":
        """Which candles are stored: from when to when, how many, and how many holes the exchange itself has."""
        from pipeline.app.series import series  # noqa: PLC0415
        from tidemark.frames import series_frame  # noqa: PLC0415

        return series_frame(self._ask(series))

    def watch(self, symbols: "Names", intervals: "Names" = (), *, reason: str | None = None) -> "pl.DataFrame":
        """Keep these series current from now on, of the settings' intervals where none is named: all that are by then.
        A running ingester takes them up within seconds."""
        from pipeline.app.series import watch  # noqa: PLC0415
        from pipeline.app.trading_access import operator  # noqa: PLC0415
        from tidemark.frames import keys_frame, to_names  # noqa: PLC0415

        names, codes = to_names(symbols), to_names(intervals)
        return keys_frame(self._opened.ask(lambda tm: watch(tm, names, codes, by=operator(), reason=reason)))

    def unwatch(self, symbols: "Names", intervals: "Names" = (), *, reason: str | None = None) -> "pl.DataFrame":
        """Let these series go, without an interval all of a symbol. What is stored stays."""
        from pipeline.app.series import unwatch  # noqa: PLC0415
        from pipeline.app.trading_access import operator  # noqa: PLC0415
        from tidemark.frames import keys_frame, to_names, to_some  # noqa: PLC0415

        names, codes = to_some("symbols", symbols), to_names(intervals)
        return keys_frame(self._ask(lambda tm: unwatch(tm, names, codes, by=operator(), reason=reason)))

    def backfill(
        self,
        symbols: "Names" = (),
        intervals: "Names" = (),
        *,
        days: int | None = None,
        limit: int | None = None,
        source: Literal["auto", "rest", "archive"] = "auto",
        cluster: str | None = None,
        progress: bool = True,
        reason: str | None = None,
    ) -> "pl.DataFrame":
        """Fetch the candles that are not stored yet, and compute indicators and signals of them: what each series came
        to. Without a symbol: those of the settings and of all that is watched.

        `days` back, or the newest `limit` candles of each. `cluster`: the address of a Dask cluster, whose workers
        fetch, each with the request weight of its own host. A bar shows how far it is, in a terminal and in a notebook.
        Interrupt it whenever you like: the next one goes on from there. `TidemarkError` says which series is not whole.
        """
        import threading  # noqa: PLC0415

        from pipeline.app.backfill import backfill, fetchers_of, unshown  # noqa: PLC0415
        from pipeline.app.progress import where_one_looks  # noqa: PLC0415
        from pipeline.app.trading_access import operator  # noqa: PLC0415
        from tidemark.frames import reports_frame, require_whole, to_names  # noqa: PLC0415

        names, codes = to_names(symbols), to_names(intervals)
        is_main = threading.current_thread() is threading.main_thread()
        with fetchers_of(cluster) as fetchers:
            done = self._opened.ask(
                lambda tm: backfill(
                    tm, names, codes, days=days, limit=limit, source=source, by=operator(), reason=reason,
                    shown=where_one_looks if progress else unshown, stop=None if is_main else threading.Event(),
                    fetchers=fetchers,
                )
            )  # fmt: skip
        require_whole(done)
        return reports_frame(done.reports)

    def _ask(self, question: "Callable[[Opened], T]") -> T:
        """The answer of what is stored: where there is nothing, none is begun."""
        from pipeline.app.opened import having_data  # noqa: PLC0415

        having_data(self._opened.settings)
        return self._opened.ask(question)

    def _require_its_place(self) -> None:
        """The account is that of the place where the executor of the folder trades, or at the exchange named."""
        from pipeline.app.beside import beside  # noqa: PLC0415

        if not self._is_named:
            beside(self._opened.settings)
