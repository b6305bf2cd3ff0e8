"""The whole of Tidemark on one machine, for `demo` and `up`: the steps of its start, and what ends when.

A step says what it is, does it, and leaves what must end later on the exit stack, so that everything ends in the
opposite order however far the start came. The candles of the past are fetched here, before anything is live, and what
follows from them is computed when it is: the newest candle waits for no old one. What goes on for as long as it runs is
a process of its own.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, Protocol

from pipeline.app import door
from pipeline.app.exchange_access import archive_of, client_of
from pipeline.app.home_exchange import HomeExchange
from pipeline.app.overview import Overviews
from pipeline.app.so_far import Computed, Fetched
from pipeline.app.trading_access import is_traded
from pipeline.app.wiring import credentials_of, derivation_of, due_keys
from pipeline.errors import TidemarkError
from pipeline.exchange.environments import SIM
from pipeline.exchange.market import MarketData
from pipeline.history.backfill import Backfill
from pipeline.history.claim import claimed
from pipeline.history.derive import withdrawals
from pipeline.history.funding import Settlements
from pipeline.history.listing import Wanted, kept_series, wanted_series
from pipeline.history.report import SeriesReport
from pipeline.memory import give_back
from pipeline.settings import KEYLESS, Settings
from pipeline.store import connect
from pipeline.store.account import AccountStore
from pipeline.store.control import ControlStore
from pipeline.store.counts import Count
from pipeline.store.lease import LeaseStore
from pipeline.store.mongod.launch import LOOPBACK
from pipeline.store.mongod.session import kept_up
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.returns import ReturnStore
from pipeline.store.symbols import SymbolStore
from pipeline.store.upgrade import upgrade
from pipeline.store.watchlist import Watchlist
from pipeline.supervise import services
from pipeline.supervise.examples import are_wanted
from pipeline.supervise.services import Ports
from pipeline.supervise.supervisor import Service, Supervisor
from pipeline.timeline import DAY, SECOND
from schemas.accounts import Snapshot
from schemas.registry import COLLECTIONS
from schemas.series import SeriesKey
from schemas.signals import SIGNALS

MINUTES: Final = "1m"
MINUTE_DAYS: Final = 2
"""So much of the minutes is there when it is ready; the rest comes as it goes."""
DEPOSIT: Final = Decimal(10_000)


class StartView(Protocol):
    """Who is told of the start. `detail` may be called from any thread, as often as there is news."""

    def begin(self, name: str) -> None:
        """A step begins."""
        ...

    def detail(self, text: str) -> None:
        """How far the step is."""
        ...

    def waits(self, text: str) -> None:
        """The step does not go on for a while, and why."""
        ...

    def done(self, text: str) -> None:
        """The step is done, and what there is to say about it."""
        ...

    def link(self, text: str) -> None:
        """Where a person may look already, in one piece."""
        ...

    def is_agreed(self, said: Sequence[str], question: str) -> bool:
        """Say it, and ask whoever is there. Where nobody is, it is agreed."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to run. `own_exchange`: whether a simulated exchange belongs to it; `minutes_of`: a symbol whose
    one-minute candles are wanted besides the settings' series, and the examples that are made of them."""

    settings: Settings
    ports: Ports
    own_exchange: bool = False
    minutes_of: str | None = None


@dataclass(slots=True)
class Whole:
    """What the steps share: what was chosen, the variables that hold keys, what must end, and what one step hands to
    later ones."""

    choice: Choice
    keys: Mapping[str, str] = field(repr=False)
    supervisor: Supervisor
    view: StartView
    ends: ExitStack
    stop: threading.Event
    db: Any = None
    database_at: str = ""
    series: list[Wanted] = field(default_factory=list)
    claims: ExitStack = field(default_factory=ExitStack)
    """On the history that nobody is to fetch before everything runs."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.choice.settings

    @property
    def each(self) -> list[Settings]:
        """The settings for each exchange that is run, the first one first."""
        return [self.settings.at(name) for name in self.settings.every]

    @property
    def ports(self) -> Ports:
        """Where the parts listen."""
        return self.choice.ports

    @property
    def overviews(self) -> Overviews:
        """What looks at the running whole."""
        return self.overviews_of(self.settings)

    def overviews_of(self, settings: Settings) -> Overviews:
        """What looks at what runs for an exchange."""
        return Overviews(self.db, settings.environment, settings.mode)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the start: its name, and what it does. It returns what to say about it."""

    name: str
    do: Callable[[Whole], str]


def start(whole: Whole, steps: Sequence[Step]) -> None:
    """Take the steps, telling the view of each."""
    for step in steps:
        whole.view.begin(step.name)
        whole.view.done(step.do(whole))


def start_database(whole: Whole) -> str:
    """The database that the settings name, or the embedded one."""
    uri = whole.ends.enter_context(kept_up(whole.settings))
    client = whole.ends.enter_context(connect.client(uri))
    connect.require(client, uri)
    whole.db = client[whole.settings.database]
    whole.database_at = connect.hosts(uri)
    return f"MongoDB {client.server_info()['version']} on {whole.database_at}"


def prepare_collections(whole: Whole) -> str:
    """Its collections, with their rules and indexes."""
    made = [name for name in prepare(whole.db).created if "." not in name]
    upgrade(whole.db, lambda done, total: whole.view.detail(f"{done:,} of {total:,} documents of an older version"))
    held = [f"{one.name} {count:,}" for one in COLLECTIONS if (count := whole.db[one.name].estimated_document_count())]
    documents = f"about {', '.join(held)}" if held else "none yet"
    return f"{len(COLLECTIONS)}, {len(made)} of them made now; documents: {documents}"


def start_page(whole: Whole) -> str:
    """Where a person looks, from here on. An exchange of our own and Prefect begin too: they take their seconds beside
    each other."""
    if whole.choice.own_exchange:
        whole.ends.enter_context(HomeExchange(whole.settings.home).served(whole.ports.exchange_urls))
        whole.supervisor.start(services.simulator(whole.ports.simulator, _deposit(whole)))
    whole.supervisor.start(services.page(whole.ports.page))
    whole.supervisor.start(services.prefect_server(whole.settings.home, whole.ports.prefect))
    whole.supervisor.wait_ready("page")
    address = services.page_address(whole.ports)
    whole.view.link(door.link(address, door.Door(whole.settings.home).code()))
    return address


def finish_exchange(whole: Whole) -> str:
    """The exchange: our own answers, any other is there."""
    if not whole.choice.own_exchange:
        return ", ".join(whole.settings.every)
    whole.supervisor.wait_ready("exchange")
    begins = "" if _account(whole) is None else "; the account goes on, without its positions"
    return f"a simulated one, with {_deposit(whole):,.2f} USDT of paper money{begins}"


def _account(whole: Whole) -> Snapshot | None:
    return AccountStore(whole.db, SIM.name).of("USDT").latest()


def _deposit(whole: Whole) -> Decimal:
    """What the account goes on with, or begins with."""
    latest = _account(whole)
    return DEPOSIT if latest is None or latest.equity <= 0 else latest.equity


def finish_prefect(whole: Whole) -> str:
    """Prefect answers, and knows the deployments."""
    whole.view.detail("waiting for its server")
    whole.supervisor.wait_ready("prefect")
    whole.view.detail("making the deployments known")
    keys = whole.keys if whole.settings.sweep else KEYLESS
    whole.supervisor.start(services.flow_runner(whole.settings.home, whole.ports.prefect, keys))
    whole.supervisor.wait_ready("flows")
    return f"http://{LOOPBACK}:{whole.ports.prefect} schedules the flows"


def fetch_candles(whole: Whole) -> str:
    """The history that is not stored yet, of everything that is watched at each exchange."""
    told = Fetched(whole.view.detail)
    whole.ends.enter_context(whole.claims)
    reports = [report for settings in whole.each for report in _fetched(whole, settings, told)]
    stored = sum(report.stored for report in reports)
    fetched = sum(report.fetched for report in reports)
    return f"{stored:,} of {len(reports)} series, {fetched:,} of them fetched now"


def _fetched(whole: Whole, settings: Settings, told: Fetched) -> list[SeriesReport]:
    """Of one exchange."""
    with client_of(settings, whole.stop, waits=whole.view.waits) as client, archive_of(client, "auto") as archive:
        market = MarketData(client)
        listed = market.symbols()
        SymbolStore(whole.db).save(listed)
        minutes = _minutes(whole, listed) if settings.is_first else []
        later = {one.key for one in minutes}
        due = [key for key in due_keys(settings, whole.db) if key not in later]
        series = kept_series(due, listed, SeriesStore(whole.db), client.clock.now())
        Watchlist(whole.db, settings.environment).seed([one.key for one in (*series, *minutes)], datetime.now(UTC))
        _agree_to_withdraw(whole, settings, [one.key for one in (*series, *minutes)])
        with Backfill(whole.db, market, archive, progress=told) as work:
            reports = [
                *work.fill_all(series, settings.history_days, "auto"),
                *work.fill_all(minutes, MINUTE_DAYS, "auto"),
            ]
        for one in minutes:
            whole.claims.enter_context(claimed(whole.db, one.key, whole.stop))
        since = client.clock.now() - settings.history_days * DAY
        named = {one.key.symbol for one in (*series, *minutes)}
        Settlements(whole.db, market).bring_up([one for one in listed if one.symbol in named], since)
    _refuse_incomplete(reports)
    whole.series += [*series, *minutes]
    return reports


def _agree_to_withdraw(whole: Whole, settings: Settings, keys: Sequence[SeriesKey]) -> None:
    """What strategies found that are not chosen any more is withdrawn, and before anything else a person may say no."""
    said = withdrawals(derivation_of(settings, whole.db).not_chosen(keys))
    if said and not whole.view.is_agreed(said, "Withdraw them?"):
        raise TidemarkError("nothing is withdrawn, and nothing goes on: name them in `strategies` again")


def derive(whole: Whole) -> str:
    """Indicators and signals over the history."""
    told, now = Computed(whole.view.detail), int(time.time() * SECOND)
    derived = []
    for settings in whole.each:
        keys = [one.key for one in whole.series if one.key.exchange == settings.environment]
        derived += derivation_of(settings, whole.db).bring_up_all(keys, now, progress=told)
    candles, found = sum(one.candles for one in derived), sum(one.signals.added for one in derived)
    failed = "".join(f"; {one.symbol} {one.interval} FAILED: {one.failure}" for one in derived if one.failure)
    return f"of {candles:,} candles; {found:,} signals found now{failed}"


def refresh_returns(whole: Whole) -> str:
    """What became of the signals."""
    for name in whole.settings.every:
        ReturnStore(whole.db).refresh(name, budget=whole.settings.returns_per_minute)
    return f"of {Count(whole.db[SIGNALS.name]).now():,} signals, as of the newest prices"


def start_ingester(whole: Whole) -> str:
    """Candles are current from here on."""
    since = datetime.now(UTC)
    started = [
        services.ingester(
            settings.environment,
            whole.ports.metrics if settings.is_first else None,
            partial(whole.overviews_of(settings).is_alive, "ingester", since),
        )
        for settings in whole.each
    ]
    for service in started:
        whole.supervisor.start(service)
    for service in started:
        whole.supervisor.wait_ready(service.name)
    return f"{len(whole.series)} series are live"


def start_executor(whole: Whole) -> str:
    """Fresh signals are acted on from here on: worked out only, or with orders, as the mode says."""
    traded = [settings for settings in whole.each if is_traded(settings)]
    if not traded:
        return f"none: {', '.join(whole.settings.every)} cannot be traded yet"
    able = [settings for settings in traded if credentials_of(settings) is not None]
    if not able:
        return "none: it needs an account, and no keys are configured"
    started = [_executor(whole, settings) for settings in able]
    whole.view.detail("looking at the account")
    for service in started:
        whole.supervisor.wait_ready(service.name)
    modes = {settings.environment: _mode(whole, settings) for settings in able}
    if len(set(modes.values())) == 1 and len(able) == len(traded):
        return next(iter(modes.values()))
    without = (f"{one.environment}: none, for want of keys" for one in traded if one not in able)
    return "; ".join([*(f"{name}: {mode}" for name, mode in modes.items()), *without])


def _executor(whole: Whole, settings: Settings) -> Service:
    lease = LeaseStore(whole.db, f"executor:{settings.environment}", "nobody")
    before = lease.holder()
    service = services.executor(
        settings.environment,
        lambda: lease.holder() not in {None, before},
        whole.keys,
        is_first=settings.environment == whole.settings.environment,
    )
    whole.supervisor.start(service)
    return service


def _mode(whole: Whole, settings: Settings) -> str:
    switched = ControlStore(whole.db, settings.environment).read().mode
    return settings.mode if switched is None else f"{switched.mode}, set by `tidemark mode`"


def leave_minutes(whole: Whole) -> str:
    """The ingester fetches the rest of the minutes from here on: until now the start had the machine for itself, and it
    gives back what that took."""
    whole.claims.close()
    give_back()
    symbol = whole.choice.minutes_of
    if symbol is None:
        return "as the schedules say"
    told = f"{whole.settings.history_days} days of {symbol} {MINUTES} are fetched as it goes"
    if not are_wanted(whole.settings):
        return told
    whole.supervisor.start(services.examples(symbol))
    return f"{told}, then a backtest, a search and shares of the equity are made to look at"


def _minutes(whole: Whole, listed: Any) -> list[Wanted]:
    """The series of one-minute candles, where one is wanted besides."""
    if whole.choice.minutes_of is None or MINUTES in whole.settings.intervals:
        return []
    return wanted_series([whole.choice.minutes_of], [MINUTES], listed, whole.settings.environment)


def _refuse_incomplete(reports: Sequence[SeriesReport]) -> None:
    for report in reports:
        if report.failures:
            raise TidemarkError(
                f"{report.symbol} {report.interval}: {report.holes:,} candles are missing: {report.failures[0]}. "
                "Start it again: it goes on from there"
            )


STEPS: Final = (
    Step("collections", prepare_collections),
    Step("page", start_page),
    Step("exchange", finish_exchange),
    Step("candles", fetch_candles),
    Step("ingester", start_ingester),
    Step("executor", start_executor),
    Step("indicators", derive),
    Step("returns", refresh_returns),
    Step("flows", finish_prefect),
    Step("minutes", leave_minutes),
)
"""Of the start, after the database. What was due while it did not run begins with the flows, and nothing but them is
waited for then."""
