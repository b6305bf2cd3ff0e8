"""How many documents a collection has, at any time, for what it costs to ask once."""

from typing import Any

from pymongo.collection import Collection


class Count:
    """The database knows a number at once, whatever is stored. A kill leaves it wrong for good, by what was written in
    the last minute before: so all are counted at first, and again where the number falls; else its change counts."""

    def __init__(self, collection: Collection[dict[str, Any]]) -> None:
        self._collection = collection
        self._told: int | None = None
        self._missed = 0

    def now(self) -> int:
        """How many there are."""
        told = self._collection.estimated_document_count()
        if self._told is None or told < self._told:
            self._missed = self._collection.count_documents({}, hint="_id_") - told
        self._told = told
        return told + self._missed
