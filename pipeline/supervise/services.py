"""The processes of a whole Tidemark: how each is called, in which environment, and when it counts as ready.

It starts nothing. Every address is on this machine.
"""

import os
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from pipeline.app.home_exchange import MARKETS
from pipeline.exchange.products.product import Ask
from pipeline.exchange.products.um import UM
from pipeline.settings import without_keys
from pipeline.store.mongod.launch import LOOPBACK, any_free_port, is_free
from pipeline.supervise.prefect_login import login_file, login_of
from pipeline.supervise.supervisor import Service

SIMULATOR_PORT: Final = 9876
PREFECT_PORT: Final = 4200
METRICS_PORT: Final = 9464
PAGE_PORT: Final = 8420
PAGE_SERVED: Final = "the page is served"
"""What `tidemark web` says when it listens."""
SERVED: Final = "deployments are served"
"""What `flows.serve` says when Prefect knows them all."""

_PREFECT: Final = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_UI_API_URL": "/api",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "259200",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "PT6H",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "pipeline",
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_CLI_PROMPT": "false",
}
"""Quiet, offline and cheap: nothing is asked outside this machine, and the server writes in batches. It keeps its runs
for three days, because what they did stands in our database, and their events, two thirds of what it writes of a run,
for six hours. Its page asks the server that it came from, by whatever name that was called. Which run holds which place
is kept on disk, as the places are: one that was killed loses its own, also where Prefect was killed with it."""

_TIDEMARK: Final = (sys.executable, "-m", "pipeline.cli")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts listen: the usual ports, or free ones where somebody else has those. `simulator`: of its first
    market; each further one has the next."""

    simulator: int
    prefect: int
    metrics: int
    page: int

    @classmethod
    @contextmanager
    def claimed(cls) -> "Iterator[Ports]":
        """Look for them now, and keep them from any other Tidemark that looks before the parts listen."""
        with ExitStack() as held:
            simulator = _claim(SIMULATOR_PORT, held, len(MARKETS))
            yield cls(simulator, *(_claim(port, held) for port in (PREFECT_PORT, METRICS_PORT, PAGE_PORT)))

    @property
    def exchange_urls(self) -> Mapping[str, str]:
        """The address of each market of a simulated exchange of our own."""
        return {market: f"http://{LOOPBACK}:{self.simulator + number}" for number, market in enumerate(MARKETS)}


def _claim(wanted: int, held: ExitStack, together: int = 1) -> int:
    """That port, or a free one; the first of so many that follow each other. Its namesake in UDP, which no part uses,
    is bound to say whose it is: the kernel lets one process have it, and lets it go with the process."""
    port = wanted
    while True:
        with ExitStack() as marks:
            try:
                for number in range(together):
                    _mark(port + number, marks)
            except OSError:
                port = any_free_port(together)
                continue
            held.enter_context(marks.pop_all())
            return port


def _mark(port: int, marks: ExitStack) -> None:
    if not is_free(port):
        raise OSError(f"{port} is taken")
    marks.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind((LOOPBACK, port))


def prefect_environment(home: Path, port: int) -> dict[str, str]:
    """Prefect inside our data folder: what the user has configured for a Prefect of their own is left alone. Both its
    sides know the login, and a page of another origin gets no answer."""
    login = login_of(home)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        **_PREFECT,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://{LOOPBACK}:{port}/api",
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_AUTH_STRING": login,
        "PREFECT_API_AUTH_STRING": login,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{LOOPBACK}:{port}",
    }


def simulator(port: int, deposit: Decimal) -> Service:
    """The simulated exchange with all its markets, and so much in its ready account."""
    command = [*_TIDEMARK, "sim", "--port", str(port), "--markets", ",".join(MARKETS), "--deposit", f"{deposit:f}"]
    ready = answers(f"http://{LOOPBACK}:{port}{UM.endpoint(Ask.TIME).path}")
    return Service("exchange", command, dict(os.environ), is_ready=ready)


def prefect_server(home: Path, port: int) -> Service:
    """Prefect's server with its pages, behind a door."""
    command = [sys.executable, "-m", "flows.server", "--host", LOOPBACK, "--port", str(port)]
    ready = answers(f"http://{LOOPBACK}:{port}/api/health")
    return Service(
        "prefect", command, prefect_environment(home, port), is_ready=ready, ready_within=180, ends_last=True
    )


def flow_runner(home: Path, port: int, keys: Mapping[str, str]) -> Service:
    """What runs the flows when they are due. `keys`: variables, for flows that may trade."""
    return Service(
        "flows",
        [sys.executable, "-m", "flows.serve"],
        {**without_keys(prefect_environment(home, port)), **keys},
        says=SERVED,
        ready_within=180,
    )


def ingester(exchange: str, metrics_port: int | None, is_ready: Callable[[], bool]) -> Service:
    """What keeps the candles of an exchange current. `metrics_port`: where it says how; None: nowhere."""
    metrics = [] if metrics_port is None else ["--metrics-port", str(metrics_port)]
    command = [*_TIDEMARK, "live", "--exchange", exchange, "--plain", *metrics]
    name = "ingester" if metrics_port is not None else exchange
    return Service(name, command, dict(os.environ), is_ready=is_ready, ready_within=180)


def page(port: int) -> Service:
    """The page's server. It holds no keys: what it orders, the executor does."""
    command = [*_TIDEMARK, "web", "--port", str(port)]
    return Service("page", command, without_keys(os.environ), says=PAGE_SERVED)


def examples(symbol: str) -> Service:
    """What makes the first backtest, search and shares, if nobody has."""
    command = [sys.executable, "-m", "pipeline.supervise.examples", symbol]
    return Service("examples", command, without_keys(os.environ), once=True)


def executor(exchange: str, is_ready: Callable[[], bool], keys: Mapping[str, str], *, is_first: bool) -> Service:
    """What acts on fresh signals of an exchange, with the variables that hold the keys of the account."""
    command = [*_TIDEMARK, "execute", "--exchange", exchange]
    name = "executor" if is_first else f"executor of {exchange}"
    return Service(name, command, {**without_keys(os.environ), **keys}, is_ready=is_ready)


def farewell() -> list[str]:
    """What is left to do when everything was killed: the database must not run on without a user."""
    return [*_TIDEMARK, "db", "stop", "--unused"]


def answers(url: str) -> Callable[[], bool]:
    """Whether something answers there, and well."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - always our own http URL
                return bool(answer.status == 200)
        except OSError:
            return False

    return ask


def page_address(ports: Ports) -> str:
    """Where the page is."""
    return f"http://{LOOPBACK}:{ports.page}"


def addresses(home: Path, ports: Ports, database: str) -> Mapping[str, str]:
    """Where a person looks, by name."""
    return {
        "page": f"{page_address(ports)}   (tidemark page prints a link that lets in)",
        "Prefect": f"http://{LOOPBACK}:{ports.prefect}   (asks once for the line in {login_file(home)})",
        "MongoDB": f"{database}   (tidemark db uri)",
        "metrics": f"http://{LOOPBACK}:{ports.metrics}/metrics",
    }
