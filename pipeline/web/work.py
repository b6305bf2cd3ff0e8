"""What runs in a process of its own for the page: a backtest, a search, the opening of its sealed days, an explanation.
Each answers under which name it is kept; what is not kept, is the answer itself.

What these need is loaded when they run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.web.jobs import Tell

if TYPE_CHECKING:
    from pipeline.app.search import Progress


@dataclass(frozen=True, slots=True)
class Backtest:
    """What is to be run; empty: as the settings have it."""

    strategies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    days: float | None = None
    exact: bool = False
    through_holes: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """What is to be searched, by the names of `pipeline.app.searched.SearchFor`; or the search that is to go on, with
    `trials` of it in all, or as many as it was to have."""

    asked: Mapping[str, Any] = field(default_factory=dict)
    resume: str | None = None
    trials: int | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """The search whose sealed days are to be opened, and for which trial; the best if none is named."""

    search: str
    trial: str | None = None


@dataclass(frozen=True, slots=True)
class Explaining:
    """How many days are to be explained."""

    days: int


def backtest(exchange: str, wanted: Backtest, tell: Tell) -> str:
    """Run it, and keep it."""
    from pipeline.app.backtest import backtest as run  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.runs import AskedFor, keep  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    asked = AskedFor(
        wanted.strategies, wanted.symbols, wanted.intervals, wanted.parameters, wanted.exact, wanted.through_holes
    )
    tell(what="reading candles")
    with Opened(load().at(exchange)) as tm:
        found = run(
            tm,
            wanted.strategies,
            symbols=wanted.symbols,
            intervals=wanted.intervals,
            parameters=wanted.parameters,
            days=wanted.days,
            exact=wanted.exact,
            through_holes=wanted.through_holes,
            progress=lambda what, done, whole: tell(what=what, done=done, whole=whole),
        )
        return keep(tm, found, asked)


def search(exchange: str, wanted: Search, tell: Tell) -> str:
    """Search, and keep each trial; one that is interrupted can go on."""
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.search import search as run  # noqa: PLC0415
    from pipeline.app.searched import SearchFor, resumed  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    tell(what="reading candles")
    with Opened(load().at(exchange)) as tm:
        asked = SearchFor(**wanted.asked) if wanted.resume is None else resumed(tm, wanted.resume, wanted.trials)

        def progress(one: "Progress") -> None:
            best = "nothing to rank yet" if one.best is None else f"best {asked.objectives[0]} {one.best:,.4g}"
            tell(what=best, done=one.done, whole=one.wanted)

        def begun(name: str) -> None:
            tell(what="trying", run=name, whole=asked.trials)

        return run(tm, asked, begun=begun, progress=progress).search.id


def opening(exchange: str, wanted: Opening, tell: Tell) -> str:
    """What the sealed days say of a trial is worked out, and kept with its search."""
    from pipeline.app.adopting import open_sealed  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    tell(what="reading candles")
    with Opened(load().at(exchange)) as tm:
        return open_sealed(tm, wanted.search, wanted.trial).id


def explaining(exchange: str, wanted: Explaining, tell: Tell) -> str:
    """What was traded, explained: as JSON, for it is not kept."""
    from pydantic import TypeAdapter  # noqa: PLC0415

    from pipeline.app.explain import explain, told  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415
    from pipeline.web.explained import ExplainedNow, plain  # noqa: PLC0415

    tell(what="reading the journal")
    with Opened(load().at(exchange)) as tm:
        found = [ExplainedNow.model_validate(plain(told(one))) for one in explain(tm, days=wanted.days)]
    return TypeAdapter(list[ExplainedNow]).dump_json(found).decode()
