"""Commands that ask about the executor of a data folder, or tell it something: they mean the place where it trades.

The folder remembers that place: the environment, the exchange where it is a simulated one, and the installation that
signs its orders. A command whose settings name another is refused, for its answer would be of another account;
`--environment` says that it is meant all the same.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.settings import Settings


SIM: Final = "sim"


class Environment(StrEnum):
    """Where there is to trade."""

    SIM = "sim"
    DEMO = "binance-um-demo"
    PRODUCTION = "binance-um"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the executor of a folder trades. `exchange`: the address of a simulated one; None: the folder's own.
    `installation`: whose its orders are."""

    environment: str
    exchange: str | None = None
    installation: str | None = None


def remember(settings: "Settings", installation: str) -> None:
    """An executor of that installation begins there."""
    from pipeline.store.mongod.sharing import write_private  # noqa: PLC0415

    exchange = settings.sim_url if settings.environment == SIM else None
    place = Place(settings.environment, None if exchange == _own_exchange(settings) else exchange, installation)
    settings.home.mkdir(parents=True, exist_ok=True)
    write_private(_file(settings.home), json.dumps(asdict(place)))


def remembered(home: Path) -> Place | None:
    """Where the last executor of the folder traded; a file that was cut short or edited counts as none."""
    try:
        stored = json.loads(_file(home).read_text(encoding="utf-8"))
        return Place(
            str(Environment(stored["environment"])),
            stored["exchange"] and str(stored["exchange"]),
            stored.get("installation"),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def begin_beside(environment: Environment | None) -> "Settings":
    """Read the settings and start logging, as `begin` does, for the place where the executor of the folder trades."""
    from pipeline.app.wiring import start_logging  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    settings = beside(load(), environment)
    start_logging(settings)
    return settings


def beside(settings: "Settings", environment: Environment | None = None) -> "Settings":
    """These settings, of the place where the executor of their folder trades. Refused where they name another and
    nobody says that it is meant."""
    place = remembered(settings.home)
    if environment is not None:
        settings = settings.model_copy(update={"environment": str(environment)})
    elif place is not None and place.environment != settings.environment:
        raise UsageError(
            f"the executor of {settings.home} trades at {place.environment}, and the settings here name "
            f"{settings.environment}. Say which is meant: --environment {place.environment}, or "
            f"--environment {settings.environment}"
        )
    if place is not None and place.environment == settings.environment == SIM:
        settings = _at_its_exchange(settings, place, chosen=environment is not None)
    return settings


def _at_its_exchange(settings: "Settings", place: Place, *, chosen: bool) -> "Settings":
    if settings.sim_url is None:
        return settings.model_copy(update={"sim_url": place.exchange})
    if chosen or settings.sim_url == (place.exchange or _own_exchange(settings)):
        return settings
    its_own = place.exchange or "the folder's own exchange"
    raise UsageError(
        f"the executor of {settings.home} trades at {its_own}, and TIDEMARK_SIM_URL names {settings.sim_url}. "
        f"Say which is meant: unset it, or --environment sim for {settings.sim_url}"
    )


def place_of(settings: "Settings") -> str:
    """The environment, the exchange and the database that these settings mean."""
    from pipeline.store.connect import hosts  # noqa: PLC0415

    own = settings.environment == SIM
    exchange = f" ({settings.sim_url or 'the exchange of ' + str(settings.home)})" if own else ""
    uri = settings.mongo_uri
    database = f"in {settings.home}" if uri is None else f"at {hosts(uri.get_secret_value())}"
    return f"{settings.environment}{exchange}, database {settings.database} {database}"


def acting(settings: "Settings", database: "Database[Any]") -> str | None:
    """The executor that acts there now."""
    from pipeline.store.lease import LeaseStore  # noqa: PLC0415

    return LeaseStore(database, f"executor:{settings.environment}", "").holder()


def _own_exchange(settings: "Settings") -> str | None:
    from pipeline.app.home_exchange import HomeExchange  # noqa: PLC0415

    return HomeExchange(settings.home).url


def _file(home: Path) -> Path:
    return home / "executor.json"
