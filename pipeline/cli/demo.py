"""`tidemark demo`: the whole system on embedded defaults, from nothing to "ready", until Ctrl-C.

The start is a list of steps. A step says what it is, does it, and leaves what must end later on the exit stack, so that
everything ends in the opposite order however far the start came.
"""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pipeline.settings import Settings

app = typer.Typer()


@dataclass(slots=True)
class Demo:
    """What the steps share: the settings, what must end, and what they hand to later steps."""

    settings: "Settings"
    ends: ExitStack
    db: Any = field(default=None)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the start: its name, and what it does. It returns what to say about it."""

    name: str
    do: Callable[[Demo], str]


def _start_database(demo: Demo) -> str:
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.session import running  # noqa: PLC0415

    uri = demo.ends.enter_context(running(demo.settings))
    client = demo.ends.enter_context(connect.client(uri))
    connect.require(client, uri)
    demo.db = client[demo.settings.database]
    return f"MongoDB {client.server_info()['version']} on {connect.hosts(uri)}"


def _prepare_collections(demo: Demo) -> str:
    from pipeline.store.prepare import prepare  # noqa: PLC0415
    from schemas.registry import COLLECTIONS  # noqa: PLC0415

    made = [name for name in prepare(demo.db).created if "." not in name]
    held = [f"{one.name} {count:,}" for one in COLLECTIONS if (count := demo.db[one.name].estimated_document_count())]
    return f"{len(COLLECTIONS)}, {len(made)} of them made now; documents: {', '.join(held) or 'none yet'}"


STEPS = (
    Step("database", _start_database),
    Step("collections", _prepare_collections),
)


@app.command(epilog="Example: [bold]TIDEMARK_HOME=/var/lib/tidemark tidemark demo[/bold]")
def demo() -> None:
    """Run everything on embedded defaults. Ctrl-C ends it, and leaves no process behind; the data stay."""
    from pipeline.cli.wiring import begin  # noqa: PLC0415

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = begin()
    began = time.monotonic()
    with ExitStack() as ends:
        shared = Demo(settings, ends)
        for step in STEPS:
            typer.echo(f"{step.name:<12} {step.do(shared)}")
        ends.callback(typer.echo, "stopping")
        typer.echo(f'ready after {time.monotonic() - began:.1f} s. Look inside:  mongosh "$(tidemark db uri)"')
        typer.echo("Ctrl-C stops it.")
        _wait_for_the_end()
    typer.echo("stopped; the data stay in " + str(settings.home))


def _wait_for_the_end() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo()
