"""What the server did for a piece of work, as its own profiler tells it: documents read and written, bytes sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pymongo.database import Database

_WRITTEN = ("nModified", "ninserted", "ndeleted", "nUpserted")


class Cost(NamedTuple):
    """Documents read, documents written by collection, bytes sent to us."""

    read: int
    written: dict[str, int]
    sent: int


@contextmanager
def profiled(db: Database[Any], costs: list[Cost]) -> Iterator[None]:
    """What is done in this database meanwhile, by whomever, is one cost more in `costs`."""
    db.command("profile", 0)
    db.drop_collection("system.profile")
    db.create_collection("system.profile", capped=True, size=64 << 20)  # what does not fit into it costs nothing
    db.command("profile", 2)
    yield
    db.command("profile", 0)
    told = list(db["system.profile"].find({"ns": {"$ne": f"{db.name}.system.profile"}}))
    written: dict[str, int] = {}
    for one in told:
        changed = sum(int(one.get(name, 0)) for name in _WRITTEN)
        if changed:
            name = one["ns"].removeprefix(f"{db.name}.")
            written[name] = written.get(name, 0) + changed
    read = sum(int(one.get("docsExamined", 0)) for one in told)
    costs.append(Cost(read, written, sum(int(one.get("responseLength", 0)) for one in told)))
