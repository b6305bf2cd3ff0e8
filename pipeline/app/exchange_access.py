"""What commands need that ask the exchange: the environment, with the folder's own exchange where one is due."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pipeline.app.interrupts import signals_set
from pipeline.app.so_far import Minutely
from pipeline.app.wiring import exchange_of
from pipeline.errors import UsageError
from pipeline.exchange_names import is_simulated, market_of
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.exchange.archive import Archive
    from pipeline.exchange.environments import Environment
    from pipeline.exchange.rest import RestClient

log = logging.getLogger(__name__)


def is_folders_own(settings: Settings) -> bool:
    """Whether they mean the simulated exchange of the data folder."""
    return is_simulated(settings.environment) and settings.sim_url is None


@contextmanager
def running_exchange(settings: Settings) -> Iterator["Environment"]:
    """The exchange that the settings name. A simulated one without an address is that of the data folder, which all its
    commands share."""
    place = exchange_of(settings)
    if not is_folders_own(settings):
        yield place
        return

    from pipeline.app.home_exchange import HomeExchange  # noqa: PLC0415
    from pipeline.exchange.environments import at  # noqa: PLC0415

    with HomeExchange(settings.home).running(market_of(settings.environment)) as url:
        yield at(place, url)


@contextmanager
def client_of(
    settings: Settings,
    stop: threading.Event | None = None,
    *,
    scheduled: bool = False,
    waits: Callable[[str], None] | None = None,
) -> Iterator["RestClient"]:
    """A client of that exchange that knows its clock. It stops when `stop` is set; without one of the caller's own,
    Ctrl-C and SIGTERM set it, and the second of them ends the process.

    `scheduled`: what it fetches was due by itself, and leaves the half of the request weight to what a person began.
    `waits`: is told about once a second where it waits for request weight; without one it is logged, once a minute.
    """
    from pipeline.app.waits import waits_said  # noqa: PLC0415
    from pipeline.exchange.limits import Need  # noqa: PLC0415
    from pipeline.exchange.rest import RestClient  # noqa: PLC0415

    with ExitStack() as ends:
        if stop is None:
            stop = threading.Event()
            ends.enter_context(signals_set(stop))
        place = ends.enter_context(running_exchange(settings))
        need = Need.SCHEDULED if scheduled else Need.BULK
        client = ends.enter_context(RestClient(place, stop=stop, need=need))
        ends.enter_context(waits_said(client.weight, waits or Minutely(log.info, at_once=True)))
        client.sync_clock()
        yield client


@contextmanager
def archive_of(client: "RestClient", source: str) -> Iterator["Archive | None"]:
    """The archive, where the source asks for it and the environment has one."""
    from pipeline.exchange.archive import Archive  # noqa: PLC0415

    if source == "archive" and client.environment.archive_url is None:
        raise UsageError(f"{client.environment.name} has no archive; use --source rest")
    if source == "rest" or client.environment.archive_url is None:
        yield None
        return
    archive = Archive(client.environment, clock=client.clock, stop=client.stop)
    try:
        yield archive
    finally:
        archive.close()
