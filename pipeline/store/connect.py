"""Clients of MongoDB, made in one place: synchronous, or asynchronous with the driver the settings name.

A URI may hold a password, so no message here repeats one: errors name the hosts only. What the user's URI says about
timeouts and write concern is left as it is.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qsl

from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from pipeline.errors import AttentionError

Document = dict[str, Any]
AsyncDriver = Literal["pymongo", "motor"]

_DEFAULTS: Final[dict[str, Any]] = {
    "serverSelectionTimeoutMS": 10_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 120_000,
    "w": "majority",
    "retryWrites": True,
    "retryReads": True,
    "appname": "tidemark",
}
_MEND: Final = "Correct TIDEMARK_MONGO_URI, or remove it to use the embedded database."
_MEND_RIGHTS: Final = "It needs the roles readWrite and dbAdmin"
_UNAUTHORIZED: Final = 13
_TEXT_SHOWN: Final = 200
_AUTHENTICATION_CODES: Final = (18, 8000)


def client(uri: str) -> MongoClient[Document]:
    """A synchronous client. It connects at first use; `require` connects now."""
    try:
        return MongoClient(uri, tz_aware=True, **_options(uri, _DEFAULTS))
    except (InvalidURI, ConfigurationError, ValueError):
        raise _unreadable(uri) from None


def async_client(uri: str, driver: AsyncDriver = "pymongo", *, retry_writes: bool = True) -> AsyncMongoClient[Document]:
    """An asynchronous client of the running event loop. Motor's has the same methods, and `close` without `await`.
    An operation is limited with `pymongo.timeout`: where a time-out of asyncio ends it, the client may stay locked.
    Without `retry_writes` the server notes no write for a repetition, which saves a tenth of it: for a caller whose
    writes may be repeated, and who does so itself."""
    options = {**_DEFAULTS, "retryWrites": retry_writes}
    try:
        if driver == "motor":
            from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415 - its users alone pay for its import

            return cast("AsyncMongoClient[Document]", AsyncIOMotorClient(uri, tz_aware=True, **_options(uri, options)))
        return AsyncMongoClient(uri, tz_aware=True, **_options(uri, options))
    except (InvalidURI, ConfigurationError, ValueError):
        raise _unreadable(uri) from None


async def close(connected: AsyncMongoClient[Document]) -> None:
    """Close an asynchronous client of either driver."""
    closing = cast("Any", connected).close()
    if closing is not None:
        await closing


def require(connected: MongoClient[Document], uri: str) -> None:
    """Connect now, so that a server that is away or refuses us is reported at the start and in plain words."""
    try:
        connected.admin.command("ping")
    except OperationFailure as error:
        if error.code in _AUTHENTICATION_CODES:
            raise AttentionError(f"MongoDB at {hosts(uri)} refuses the user or the password. {_MEND}") from None
        raise AttentionError(f"MongoDB at {hosts(uri)} answers with an error: {error.details}. {_MEND}") from None
    except ServerSelectionTimeoutError as error:
        reason = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
        raise AttentionError(f"MongoDB at {hosts(uri)} cannot be reached: {reason}. Start it. {_MEND}") from None
    except PyMongoError as error:
        raise AttentionError(f"MongoDB at {hosts(uri)} broke off: {error}. Try again. {_MEND}") from None


def in_words(error: PyMongoError) -> str:
    """What a person should know of a failure in the middle of the work."""
    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        return f"the database user may not do this: {error.details and error.details.get('errmsg')}. {_MEND_RIGHTS}"
    if error.timeout:
        return "the database does not answer in time, or takes no writes"
    return f"the database broke off: {str(error)[:_TEXT_SHOWN]}"


def hosts(uri: str) -> str:
    """The hosts a URI names, and nothing else of it."""
    return uri.partition("://")[2].rpartition("@")[2].partition("/")[0].partition("?")[0]


def redact(uri: str) -> str:
    """The URI with its password hidden."""
    scheme, mark, rest = uri.partition("://")
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}{mark}{user}{':***' if colon else ''}{at}{place}"


def _options(uri: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    said = {name.lower() for name, _ in parse_qsl(uri.partition("?")[2], keep_blank_values=True)}
    return {name: value for name, value in wanted.items() if name.lower() not in said}


def _unreadable(uri: str) -> AttentionError:
    return AttentionError(
        f"the MongoDB URI for {hosts(uri) or 'no host'} cannot be read. It looks like "
        "mongodb://user:password@host:27017/?replicaSet=name; special characters in user and password are "
        f"percent-encoded (@ is %40). {_MEND}"
    )
