"""Commands that ask about the executors of a data folder, or tell them something: they mean where those trade.

The folder remembers those places: the exchange, its address where it is a simulated one, and the installation that
signs its orders there. A command whose settings name another is refused, for its answer would be of another account;
`--exchange` says that it is meant all the same.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.exchange_names import exchange_named, is_simulated, market_of

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where an executor of a folder trades. `exchange`: the address of a simulated one; None: the folder's own.
    `installation`: whose its orders are."""

    environment: str
    exchange: str | None = None
    installation: str | None = None


def remember(settings: "Settings", installation: str) -> None:
    """An executor of that installation begins there."""
    from pipeline.store.mongod.sharing import write_private  # noqa: PLC0415

    exchange = settings.sim_url if is_simulated(settings.environment) else None
    place = Place(settings.environment, None if exchange == _own_exchange(settings) else exchange, installation)
    settings.home.mkdir(parents=True, exist_ok=True)
    places = {**remembered(settings.home), settings.environment: place}
    write_private(_file(settings.home), json.dumps([asdict(one) for one in places.values()]))


def remembered(home: Path) -> Mapping[str, Place]:
    """Where executors of the folder have traded, by exchange; a file that was cut short or edited counts as none."""
    try:
        stored = json.loads(_file(home).read_text(encoding="utf-8"))
        places = [_place(one) for one in (stored if isinstance(stored, list) else [stored])]
        return {one.environment: one for one in places}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _place(stored: Mapping[str, Any]) -> Place:
    return Place(
        exchange_named(stored["environment"]),
        stored["exchange"] and str(stored["exchange"]),
        stored.get("installation"),
    )


def begin_beside(exchange: str | None) -> "Settings":
    """Read the settings and start logging, as `begin` does, for the place where the executor of the folder trades."""
    from pipeline.app.wiring import start_logging  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    settings = beside(load(), exchange)
    start_logging(settings)
    return settings


def beside(settings: "Settings", exchange: str | None = None) -> "Settings":
    """These settings, of the place where the executor of their folder trades. Refused where they name another and
    nobody says that it is meant."""
    places = remembered(settings.home)
    if exchange is not None:
        settings = settings.at(exchange)
    elif places and settings.environment not in places:
        options = ", or ".join(f"--exchange {name}" for name in (*places, settings.environment))
        raise UsageError(
            f"the executor of {settings.home} trades at {', '.join(places)}, and the settings here name "
            f"{settings.environment}. Say which is meant: {options}"
        )
    place = places.get(settings.environment)
    if place is not None and is_simulated(settings.environment):
        settings = _at_its_exchange(settings, place, chosen=exchange is not None)
    return settings


def _at_its_exchange(settings: "Settings", place: Place, *, chosen: bool) -> "Settings":
    if settings.sim_url is None:
        return settings.model_copy(update={"sim_url": place.exchange})
    if chosen or settings.sim_url == (place.exchange or _own_exchange(settings)):
        return settings
    its_own = place.exchange or "the folder's own exchange"
    raise UsageError(
        f"the executor of {settings.home} trades at {its_own}, and TIDEMARK_SIM_URL names {settings.sim_url}. "
        f"Say which is meant: unset it, or --exchange {settings.environment} for {settings.sim_url}"
    )


def place_of(settings: "Settings") -> str:
    """The environment, the exchange and the database that these settings mean."""
    from pipeline.store.connect import hosts  # noqa: PLC0415

    own = is_simulated(settings.environment)
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

    return HomeExchange(settings.home).urls.get(market_of(settings.environment))


def _file(home: Path) -> Path:
    return home / "executor.json"
