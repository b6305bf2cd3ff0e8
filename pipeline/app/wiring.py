"""Makes the parts of the pipeline from the settings. The only place that knows both."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import logs
from pipeline.errors import UsageError
from pipeline.exchange_names import is_simulated, market_of
from pipeline.settings import Settings, load, secrets_of
from pipeline.timeline import SECOND

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.exchange.environments import Environment
    from pipeline.exchange.signing import Credentials
    from pipeline.history.derive import Derivation
    from pipeline.notify import Notifier
    from pipeline.periods import Periods
    from pipeline.strategies.base import Strategy
    from schemas.series import SeriesKey


def begin(exchange: str | None = None, *, log_is_output: bool = False) -> Settings:
    """Read the settings, for that exchange where one is named, and start logging: how every command that does work
    begins. `log_is_output`: the command prints nothing else, so its log goes where a person has sent its output:
    `tidemark live > file`."""
    settings = load().at(exchange)
    start_logging(settings, log_is_output=log_is_output)
    return settings


def start_logging(settings: Settings, *, log_is_output: bool = False) -> None:
    """Log as these settings say, without their secrets."""
    sent_away = log_is_output and sys.stderr.isatty() and not sys.stdout.isatty()
    logs.configure(settings.log, settings.log_level, secrets_of(settings), sys.stdout if sent_away else None)


def periods_of(settings: Settings, strategies: "Iterable[Strategy]") -> "Periods":
    """The periods of the indicators. The averages that stored candles have columns for are always computed: a column
    holds what its name says; other averages, and those these strategies need, are there for strategies to read."""
    from pipeline.periods import PERIODS, Periods  # noqa: PLC0415

    chosen = settings.indicators
    periods = Periods(
        rsi=chosen.rsi,
        macd_fast=chosen.macd_fast,
        macd_slow=chosen.macd_slow,
        macd_signal=chosen.macd_signal,
        sma=tuple(sorted({*PERIODS.sma, *chosen.sma})),
        atr=chosen.atr,
        atr_kind=chosen.atr_kind,
        bollinger=chosen.bollinger,
        bollinger_width=chosen.bollinger_deviations,
    )
    return periods.including(column for one in strategies for column in one.needs)


def exchange_of(settings: Settings, *, patient: bool = True) -> "Environment":
    """The exchange that the settings name. Not patient: one try and three seconds, for a person who waits."""
    from pipeline.exchange.environments import environment  # noqa: PLC0415

    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    url = _simulator_of(settings) if is_simulated(settings.environment) else None
    chosen = {
        "rest_url": settings.rest_url,
        "stream_url": settings.stream_url,
        "read_timeout": settings.timeout,
        "retries": None if settings.tries is None else settings.tries - 1,
        "weight_buffer": settings.weight_buffer,
        "recv_window": settings.recv_window,
    }
    own: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    found = replace(environment(settings.environment, url=url, proxy=proxy), **own)
    return found if patient else replace(found, retries=0, connect_timeout=3.0, read_timeout=3.0)


def _simulator_of(settings: Settings) -> str | None:
    """Where that market of the simulator answers. An address that was given for another market of it leads there."""
    from pipeline.simulator.handle import RunningSimulator  # noqa: PLC0415

    url, name = settings.sim_url, settings.environment
    if url is None or settings.is_first or "sim_url" in settings.exchanges.of(name):
        return url
    return RunningSimulator(url).at(market_of(name)).url


def keys_of(settings: Settings, intervals: "Iterable[str]" = ()) -> "list[SeriesKey]":
    """The series of the settings, of these intervals where some are named."""
    from pipeline.history.listing import series_of  # noqa: PLC0415

    return series_of(settings.environment, settings.symbols, list(intervals) or settings.intervals)


def due_keys(
    settings: Settings, database: "Database[dict[str, Any]]", intervals: "Iterable[str]" = ()
) -> "list[SeriesKey]":
    """The series that are to be whole where nobody names any: those of the settings and those that are watched."""
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415

    of_settings, chosen = keys_of(settings, intervals), set(intervals)
    watched = sorted(Watchlist(database, settings.environment).wanted())
    return [*of_settings, *(key for key in watched if not chosen or key.interval in chosen)]


def credentials_of(settings: Settings) -> "Credentials | None":
    """The keys in the settings, or None while there are none."""
    from pipeline.exchange.signing import Credentials, signer_for  # noqa: PLC0415

    if settings.api_key is None:
        return None
    if settings.private_key_file is not None:
        secret = _key_in(settings.private_key_file)
    elif settings.api_secret is not None:
        secret = settings.api_secret.get_secret_value()
    else:
        return None
    return Credentials(settings.api_key.get_secret_value(), signer_for(secret))


def _key_in(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"TIDEMARK_PRIVATE_KEY_FILE names {file}, which cannot be read: {reason}") from None


def strategies_of(settings: Settings) -> "list[Strategy]":
    """The strategies that run: those named, else all that have a name, and those in files of the user's; and of these
    those that are for the market."""
    from pipeline.strategies.base import markets_of  # noqa: PLC0415
    from pipeline.strategies.chosen import chosen  # noqa: PLC0415

    found = chosen(settings.strategies, map(str, settings.strategy_paths), settings.strategy_parameters)
    return [one for one in found if market_of(settings.environment) in markets_of(one)]


def intervals_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The lengths of candles that strategies run on, where the settings say so."""
    if not isinstance(settings.strategies, dict):
        return {}
    return {name: one.intervals for name, one in settings.strategies.items() if one.intervals is not None}


def notifier_of(settings: Settings) -> "Notifier":
    """What tells people of new signals and alarms; without addresses it says nothing."""
    from pipeline.notify import Notifier  # noqa: PLC0415

    return Notifier(settings.notify_urls, per_minute=settings.notify_per_minute)


def derivation_of(
    settings: Settings, database: "Database[dict[str, Any]]", strategies: "Sequence[Strategy] | None" = None
) -> "Derivation":
    """What computes indicators and signals over stored candles, with these strategies or those of the settings."""
    from pipeline.history.derive import Derivation  # noqa: PLC0415

    fresh = settings.fresh_seconds * SECOND
    strategies = strategies_of(settings) if strategies is None else strategies
    return Derivation(
        database,
        strategies,
        periods_of(settings, strategies),
        intervals=intervals_of(settings),
        fresh_at_most=fresh,
    )
