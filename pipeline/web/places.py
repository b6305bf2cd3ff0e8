"""The exchanges that the page's server answers for, and who orders through it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Final

from fastapi import Depends, Query, Request

from pipeline.app.beside import beside
from pipeline.app.coins import Coins
from pipeline.app.opened import Opened
from pipeline.app.status import Status, status
from pipeline.app.trading_access import operator
from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.web.measured import Measured

BY: Final = "page"


class Place:
    """One exchange. What looks again and again is kept with it."""

    def __init__(self, tm: Opened) -> None:
        self.tm = tm
        self.measured = Measured()

    @cached_property
    def coins(self) -> Coins:
        """Its list of coins."""
        return Coins(self.tm)

    def status(self) -> Status:
        """How it stands; what is measured is noted."""
        found = status(self.tm)
        self.measured.note(found.targets, datetime.now(UTC))
        return found


class Places:
    """All of them; the first is meant where nobody names one."""

    def __init__(self, each: Mapping[str, Place]) -> None:
        self.each = each

    def named(self, name: str | None) -> Place:
        """That one. Refused where it is not run here."""
        if name is None:
            return next(iter(self.each.values()))
        if name not in self.each:
            raise UsageError(f"{name!r} is not run here. There are: {', '.join(self.each)}")
        return self.each[name]

    def measure(self) -> None:
        """What is measured of each is noted."""
        for one in self.each.values():
            one.status()


@contextmanager
def opened(settings: Settings) -> Iterator[Places]:
    """Every exchange of the settings, connected, for the length of a `with` block."""
    with ExitStack() as ends:
        each = {}
        for name in settings.every:
            tm = ends.enter_context(Opened(beside(settings, None if name == settings.environment else name)))
            _ = tm.db
            each[name] = Place(tm)
        yield Places(each)


def by() -> str:
    """Who gives an order through the page, for the audit."""
    return f"{BY} ({operator()})"


def _place(request: Request, exchange: Annotated[str | None, Query(description="which exchange")] = None) -> Place:
    places: Places = request.app.state.places
    return places.named(exchange)


At = Annotated[Place, Depends(_place)]
