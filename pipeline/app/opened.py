"""What is opened for a person's question or order: the settings, and the database they lead to."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import SecretStr

from pipeline.errors import AttentionError, UsageError
from pipeline.exchange_names import is_simulated
from pipeline.settings import Settings, load

if TYPE_CHECKING:
    from pymongo.database import Database
    from pymongo.errors import PyMongoError

    from pipeline.app.candle_database import BringUp


T = TypeVar("T")


def settings_for(home: str | Path | None = None, uri: str | None = None) -> Settings:
    """The settings in force, of another data folder or another MongoDB where one is named. A folder that is named means
    its own database."""
    from pipeline.store import connect  # noqa: PLC0415

    changes: dict[str, Any] = {}
    if home is not None:
        changes |= {"home": Path(home).expanduser().absolute(), "mongo_uri": None}
    if uri is not None:
        connect.client(uri).close()  # says what is wrong with it
        changes["mongo_uri"] = SecretStr(uri)
    return load().model_copy(update=changes)


def having_data(settings: Settings) -> Settings:
    """The same settings, for whoever only reads: refused where their folder has no database, and none is made there."""
    from pipeline.store.mongod.folder import Folder  # noqa: PLC0415

    if settings.mongo_uri is None and not Folder(settings.home).data.is_dir():
        raise UsageError(
            f"no data in {settings.home.absolute()}; set TIDEMARK_HOME to the folder that holds it, or change to the "
            "folder that has it as .tidemark. `tidemark demo` or `tidemark backfill` begins a new one"
        )
    return settings


def having_exchange(settings: Settings) -> Settings:
    """The same for whoever only asks the exchange: a folder without data is not given one of its own."""
    own = is_simulated(settings.environment) and settings.sim_url is None
    return having_data(settings) if own else settings


def in_words(error: "PyMongoError") -> str:
    """What a person should know of a failure of the database."""
    from pipeline.store import connect  # noqa: PLC0415

    return connect.in_words(error)


class Opened:
    """Settings, and their database from when it is first asked for to the end of the `with` block.

    `bring_up`: how candles of an older version are brought into today's form, where something is to be written.
    """

    def __init__(self, settings: Settings, bring_up: "BringUp | None" = None) -> None:
        self.settings = settings
        self._bring_up = bring_up
        self._ends = ExitStack()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._ends.__exit__(kind, failure, trace)

    def ask(self, question: "Callable[[Opened], T]") -> T:
        """The answer, for whoever keeps it open; a failure of the database is said in words."""
        from pymongo.errors import PyMongoError  # noqa: PLC0415

        if self._is_closed:
            raise UsageError("this Tidemark is closed; open another")
        try:
            return question(self)
        except PyMongoError as error:
            raise AttentionError(in_words(error)) from None

    def close(self) -> None:
        """End what was opened. Closing twice does no harm."""
        self._is_closed = True
        self._ends.close()

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
