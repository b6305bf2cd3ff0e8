"""What the flows share: stopping when Prefect cancels, making a choice of series into a form, and leaving word of their
success."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from pydantic import BaseModel, ConfigDict, Field

from pipeline.app.deployments import tell_completed
from pipeline.errors import TidemarkError
from pipeline.settings import Settings, load

T = TypeVar("T")

OF_EXCHANGE: Any = Field(default=None, description="for example binance-cm; none: every exchange that is run")


def at_each(exchange: str | None, do: Callable[[Settings], Sequence[T]]) -> list[T]:
    """Do it at that exchange, or at each that is run: one that fails keeps no other from its turn."""
    settings = load()
    names = settings.every if exchange is None else (exchange,)
    if len(names) == 1:
        return list(do(settings.at(names[0])))
    done: list[T] = []
    failed: list[str] = []
    for name in names:
        try:
            done += do(settings.at(name))
        except TidemarkError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise TidemarkError("\n".join(failed))
    return done


def key_of(settings: Settings, name: str) -> str:
    """What is shown of an exchange, under a name of its own: Prefect keeps the newest of each."""
    return name if settings.is_first else f"{name}-{settings.environment}"


class Where(BaseModel):
    """Where."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE


class Chosen(BaseModel):
    """Which series a run is about. Empty: those of the settings."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE
    symbols: list[str] = Field(default_factory=list, description="contracts, for example BTCUSDT; none: the settings'")
    intervals: list[str] = Field(
        default_factory=list, description="candle lengths, for example 1m; none: the settings'"
    )


@contextmanager
def stop_when_cancelled() -> Iterator[threading.Event]:
    """An event that is set by SIGTERM, which is how Prefect cancels; Prefect's own handling follows. So worker threads
    end within a request instead of keeping a cancelled run alive. Outside the main thread there are no signals to
    watch: then nothing sets it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    before: Any = signal.getsignal(signal.SIGTERM)

    def on_signal(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(signal.SIGTERM, before)
        if callable(before):
            before(number, frame)
        else:
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield stop
    finally:
        stop.set()
        signal.signal(signal.SIGTERM, before)


def is_scheduled() -> bool:
    """Whether this run was due by itself. Nobody waits for it: what a person began goes before it."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.auto_scheduled


def leave_word(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - as Prefect calls
    """A run of a deployment succeeded: the database is told when, for whoever asks while Prefect does not answer."""
    if flow_run.deployment_id is None:
        return
    with get_client(sync_client=True) as client:
        name = f"{flow.name}/{client.read_deployment(flow_run.deployment_id).name}"
    tell_completed(load(), name)
