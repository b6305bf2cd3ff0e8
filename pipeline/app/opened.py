"""What is opened for a person's question or order: the settings, and the database they lead to."""

from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pipeline.settings import Settings

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.app.candle_database import BringUp


class Opened:
    """Settings, and their database from when it is first asked for to the end of the `with` block.

    `bring_up`: how candles of an older version are brought into today's form, where something is to be written.
    """

    def __init__(self, settings: Settings, bring_up: "BringUp | None" = None) -> None:
        self.settings = settings
        self._bring_up = bring_up
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._ends.__exit__(kind, failure, trace)

    @property
    def environment(self) -> str:
        """Where it is about."""
        return self.settings.environment

    @cached_property
    def db(self) -> "Database[dict[str, Any]]":
        """The prepared database, for whoever reads candles or writes none."""
        from pipeline.store.mongod.session import database  # noqa: PLC0415

        return self._ends.enter_context(database(self.settings))

    @cached_property
    def candle_db(self) -> "Database[dict[str, Any]]":
        """The same for whoever writes candles: `UpgradingError` where another process brings them into today's form."""
        from pipeline.store.upgrade import upgrade  # noqa: PLC0415

        (self._bring_up or upgrade)(self.db)
        return self.db
