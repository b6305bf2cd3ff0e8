"""What `tidemark doctor` looks at: each check asks one question and says how to mend what it finds. Changes nothing."""

import importlib.metadata
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pipeline.app.exchange_access import is_folders_own
from pipeline.app.trading_access import is_traded
from pipeline.app.wiring import credentials_of, exchange_of
from pipeline.errors import TidemarkError
from pipeline.exchange_names import is_simulated
from pipeline.settings import IN_FILES, Settings

if TYPE_CHECKING:
    from pipeline.exchange.environments import Environment
    from pipeline.exchange.signing import Credentials
    from pipeline.strategies.base import Strategy

State = Literal["good", "note", "problem"]

_MEGABYTE: Final = 1024 * 1024
_CLOCK_LIMIT: Final = 1_000
_SIGNAL_BYTES: Final = 320
"""A signal on disk, with its indexes."""
_MANY_SIGNALS: Final = 20_000
_FIRST, _BEYOND = (3, 11), (3, 14)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `mend` says what to do, and is empty where nothing is to be done."""

    check: str
    state: State
    found: str
    mend: str = ""


Check = Callable[[Settings], Iterator[Checked]]


def python(_: Settings) -> Iterator[Checked]:
    """Is this Python one we run on?"""
    version = ".".join(map(str, sys.version_info[:3]))
    if _FIRST <= sys.version_info[:2] < _BEYOND:
        yield Checked("python", "good", f"{version} ({sys.executable})")
    else:
        yield Checked("python", "problem", f"{version} is not supported", "Install Python 3.11, 3.12 or 3.13.")


def prefect(_: Settings) -> Iterator[Checked]:
    """Is Prefect the version that this release was tested with?"""
    wanted = next(
        line.partition("==")[2]
        for line in importlib.metadata.requires("tidemark") or ()
        if line.startswith("prefect==")
    )
    try:
        version = importlib.metadata.version("prefect")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version == wanted:
        yield Checked("prefect", "good", version)
    else:
        yield Checked("prefect", "problem", f"{version} is installed, {wanted} is needed", "Run `make install` again.")


def talib(_: Settings) -> Iterator[Checked]:
    """Does TA-Lib load and count?"""
    import numpy as np  # noqa: PLC0415

    try:
        import talib as library  # noqa: PLC0415

        average = float(library.SMA(np.array([1.0, 2.0, 3.0]), timeperiod=3)[-1])
    except ImportError as error:
        yield Checked("ta-lib", "problem", f"cannot be loaded: {error}", "Run `make install` again.")
        return
    if average == 2.0:
        yield Checked("ta-lib", "good", library.__version__)
    else:
        yield Checked("ta-lib", "problem", f"the mean of 1, 2, 3 is {average}", "Run `make install` again.")


def strategies(settings: Settings) -> Iterator[Checked]:
    """Can the strategies run that the settings name, with the parameters they give?"""
    from pipeline.app.wiring import strategies_of  # noqa: PLC0415
    from pipeline.strategies.base import label_of  # noqa: PLC0415

    try:
        chosen = strategies_of(settings)
        expected = _stored_a_day(settings, chosen)
    except TidemarkError as error:
        mend = "Correct strategies, strategy_paths or strategy_parameters; `tidemark strategies` lists what there is."
        yield Checked("strategies", "problem", str(error), mend)
    else:
        yield Checked("strategies", "good", ", ".join(map(label_of, chosen)))
        yield expected


def _stored_a_day(settings: Settings, chosen: "list[Strategy]") -> Checked:
    """How much these strategies will say."""
    from pipeline.app.wiring import intervals_of, periods_of  # noqa: PLC0415
    from pipeline.strategies.chatter import chatter  # noqa: PLC0415

    told = list(chatter(chosen, settings.intervals, periods_of(settings, chosen), intervals_of(settings)))
    count = len(settings.symbols) * sum(one.a_day for one in told)
    most = max(told, key=lambda one: one.a_day, default=None)
    megabytes, symbols = count * _SIGNAL_BYTES / _MEGABYTE, len(settings.symbols)
    found = f"about {count:,.0f} signals a day, {megabytes:,.2f} MB, of {symbols} symbols"
    if most is not None:
        found += f"; {most.strategy} on {most.interval} says the most"
    mend = (
        ""
        if count < _MANY_SIGNALS
        else ('Say where they are to run, for example strategies.macd_cross.intervals = ["15m", "1h"].')
    )
    return Checked("strategies", "note" if mend else "good", found, mend)


def disk(settings: Settings) -> Iterator[Checked]:
    """Is there room in the data folder?"""
    existing = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    try:
        free = shutil.disk_usage(existing).free // _MEGABYTE
    except OSError as error:
        yield Checked("disk", "problem", f"{existing}: {error.strerror}", "Correct the folder, or set TIDEMARK_HOME.")
        return
    if free < settings.minimum_free_mb:
        found = f"{free:,} MB free in {settings.home}, {settings.minimum_free_mb:,} MB wanted"
        yield Checked("disk", "problem", found, "Free some space, or move the data folder with TIDEMARK_HOME.")
    else:
        yield Checked("disk", "good", f"{free:,} MB free in {settings.home}")


def mongod(settings: Settings) -> Iterator[Checked]:
    """Is there a database server to start, and does it run on this machine?"""
    from pipeline.store.mongod.binary import explain_exit, explain_refusal, find_mongod  # noqa: PLC0415

    if settings.mongo_uri is not None:
        yield Checked("mongod", "good", "not needed: TIDEMARK_MONGO_URI names a server")
        return
    try:
        binary = find_mongod()
    except TidemarkError as error:
        yield _from_error("mongod", error)
        return
    try:
        answer = subprocess.run(  # noqa: S603 - the program we would start anyway
            [binary, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError as error:
        yield Checked("mongod", "problem", "mongod cannot be run", explain_refusal(binary, error))
    except subprocess.TimeoutExpired:
        yield Checked("mongod", "problem", f"{binary} --version hangs", "Put another mongod on PATH.")
    else:
        said = answer.stdout + answer.stderr
        if answer.returncode == 0:
            yield Checked("mongod", "good", f"{said.splitlines()[0].removeprefix('db version ')} ({binary})")
        else:
            found = f"mongod does not run: it ended with code {answer.returncode}"
            yield Checked("mongod", "problem", found, explain_exit(binary, answer.returncode, said))


def database(settings: Settings) -> Iterator[Checked]:
    """Does the database answer, or could it start?"""
    if settings.mongo_uri is not None:
        yield from _remote(settings.mongo_uri.get_secret_value())
        return
    from pipeline.store.mongod.folder import Folder  # noqa: PLC0415
    from pipeline.store.mongod.launch import holder_of, is_free  # noqa: PLC0415
    from pipeline.store.mongod.server import DEFAULT_PORT  # noqa: PLC0415
    from pipeline.store.mongod.session import embedded  # noqa: PLC0415

    status = embedded(settings).status()
    port = Folder(settings.home).remembered().port or DEFAULT_PORT
    if status.ready:
        yield Checked("database", "good", f"runs on {status.address}")
    elif status.running:
        found = f"mongod runs as process {status.process_id} but does not answer"
        yield Checked("database", "problem", found, f"Run `tidemark db stop --force`. {status.log} says more.")
    elif is_free(port):
        yield Checked("database", "good", f"not started; port {port} is free for it")
    else:
        found = f"port {port} is taken by another program{holder_of(port)}"
        yield Checked("database", "problem", found, "End that program; until then the database uses another port.")


def _remote(uri: str) -> Iterator[Checked]:
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    from pipeline.store import connect  # noqa: PLC0415

    try:
        with connect.client(uri) as client:
            connect.require(client, uri)
            facts = client.admin.command("hello")
    except TidemarkError as error:
        yield _from_error("database", error)
    except PyMongoError as error:
        yield Checked("database", "problem", f"{connect.hosts(uri)} broke off: {type(error).__name__}", "Try again.")
    else:
        if facts.get("setName") or facts.get("msg") == "isdbgrid":
            yield Checked("database", "good", f"{connect.hosts(uri)} answers, replica set {facts.get('setName', '-')}")
        else:
            found = f"{connect.hosts(uri)} is no replica set, so that nobody can be told of a new signal"
            yield Checked("database", "problem", found, "Start that mongod with --replSet and run rs.initiate() once.")


def exchange(settings: Settings) -> Iterator[Checked]:
    """Does the exchange answer, and do our clocks agree?"""
    if is_folders_own(settings):
        yield Checked("exchange", "good", "the simulator, started when it is needed")
        return
    from pipeline.exchange.rest import RestClient  # noqa: PLC0415

    with RestClient(exchange_of(settings, patient=False)) as client:
        try:
            client.sync_clock()
        except TidemarkError as error:
            mend = "Check the network, TIDEMARK_PROXY and TIDEMARK_SIM_URL."
            yield Checked("exchange", "problem", str(error), mend)
            return
        ahead = client.clock.offset
    yield Checked("exchange", "good", f"{settings.environment} answers")
    if abs(ahead) > _CLOCK_LIMIT:
        found = f"this machine is {abs(ahead) / 1_000:.1f} s {'behind' if ahead > 0 else 'ahead of'} the exchange"
        yield Checked("clock", "problem", found, "Set it, and keep it with NTP (`timedatectl set-ntp true`).")
    else:
        yield Checked("clock", "good", f"{abs(ahead)} ms from the exchange's")


def stage(settings: Settings) -> Iterator[Checked]:
    """Are the stages of production large enough for the chosen symbols?"""
    from pipeline.app.stages import too_small_now  # noqa: PLC0415

    if not is_traded(settings):
        return
    try:
        found = too_small_now(settings, settings.symbols, [1, 2])
    except TidemarkError as error:
        yield Checked("stage", "note", f"which symbols a stage is too small for could not be asked: {error}")
        return
    for number, reasons in found.items():
        if reasons:
            yield Checked(
                "stage", "note", f"stage {number} cannot trade {', '.join(sorted(reasons))}: {_first(reasons)}"
            )


def _first(reasons: dict[str, str]) -> str:
    symbol = min(reasons)
    return f"{symbol} is {reasons[symbol]}"


def keys(settings: Settings) -> Iterator[Checked]:
    """Are there keys where they are needed, are they closed to others, and may they trade?"""
    yield from _open_files(settings)
    try:
        credentials = credentials_of(settings)
    except TidemarkError as error:
        yield Checked("keys", "problem", str(error), "Correct TIDEMARK_API_SECRET or TIDEMARK_PRIVATE_KEY_FILE.")
        return
    if credentials is None:
        yield _no_keys(settings)
        return
    if is_folders_own(settings):
        yield Checked("keys", "good", "present")
        return
    from pipeline.exchange.products.product import Ask  # noqa: PLC0415
    from pipeline.exchange.rest import RestClient  # noqa: PLC0415

    with RestClient(exchange_of(settings, patient=False), credentials) as client:
        try:
            account = client.ask_signed(Ask.MAY_TRADE).payload
        except TidemarkError as error:
            mend = "Check the key, its secret, its environment, and the addresses it is restricted to."
            yield Checked("keys", "problem", str(error), mend)
            return
    if account.get("canTrade"):
        yield Checked("keys", "good", "accepted, and may trade")
    else:
        mend = "Enable trading for it at the exchange." if settings.mode == "auto-execute" else ""
        yield Checked("keys", "problem" if mend else "note", "accepted, but may not trade", mend)
    if exchange_of(settings).is_production:
        yield from _rights(exchange_of(settings, patient=False), credentials)


def _rights(place: "Environment", credentials: "Credentials") -> Iterator[Checked]:
    """Could whoever steals the key do more than trade?"""
    from pipeline.exchange.key_rights import key_rights  # noqa: PLC0415

    try:
        rights = key_rights(place, credentials)
    except TidemarkError as error:
        yield Checked("keys", "note", f"what the key may do could not be asked for: {error}")
        return
    if rights.enable_withdrawals:
        yield Checked("keys", "problem", "may withdraw money", "Make a key that may not: trading does not need it.")
    else:
        yield Checked("keys", "good", "may not withdraw")
    if rights.ip_restrict:
        yield Checked("keys", "good", "works from your addresses only")
    else:
        mend = "Restrict it to your addresses: whoever steals it can trade."
        yield Checked("keys", "problem", "works from any address", mend)
    if rights.may_trade(place.product):
        yield Checked("keys", "good", f"may trade {place.product.title}")
    else:
        yield Checked("keys", "note", f"may not trade {place.product.title}: good for signal-only")


def _no_keys(settings: Settings) -> Checked:
    if is_simulated(settings.environment):
        return Checked("keys", "good", "none needed: the simulator has its own")
    if settings.mode == "signal-only":
        return Checked("keys", "good", "none, and none needed for signal-only")
    mend = "Set TIDEMARK_API_KEY_FILE, and TIDEMARK_API_SECRET_FILE or TIDEMARK_PRIVATE_KEY_FILE."
    return Checked("keys", "problem", f"none, but auto-execute on {settings.environment} needs them", mend)


def _open_files(settings: Settings) -> Iterator[Checked]:
    for name in (*(f"{name}_file" for name in IN_FILES), "private_key_file"):
        path: Path | None = getattr(settings, name)
        if path is not None and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Checked("keys", "problem", f"{path} can be read by others", f"Run `chmod 600 {path}`.")


def _from_error(check: str, error: TidemarkError) -> Checked:
    found, _, mend = str(error).partition(". ")
    return Checked(check, "problem", found, mend)


def of_each(name: str, settings: Settings) -> Iterator[Checked]:
    """What a check finds; one that is about an exchange looks at each that is run, and says of which it speaks."""
    names = settings.every if name in _OF_AN_EXCHANGE and settings.is_first else (settings.environment,)
    for one in names:
        try:
            findings = list(CHECKS[name](settings.at(one)))
        except TidemarkError as error:
            findings = [_from_error(name, error)]
        for found in findings:
            yield found if len(names) == 1 else replace(found, found=f"{one}: {found.found}")


_OF_AN_EXCHANGE: Final = frozenset({"exchange", "keys", "stage"})
CHECKS: Final[dict[str, Check]] = {
    "python": python,
    "prefect": prefect,
    "ta-lib": talib,
    "strategies": strategies,
    "disk": disk,
    "mongod": mongod,
    "database": database,
    "exchange": exchange,
    "keys": keys,
    "stage": stage,
}
