"""The targets of the operations page, and every process's calls to the exchange, as metrics: looked up in the database
now and then, and kept for whoever scrapes.

A scrape reads what is kept and never waits for the database.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Final

import pymongo
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.exchange.environments import Environment
from pipeline.ingest.figures import Figures
from pipeline.store.processes import living
from pipeline.store.targets import targets

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0
"""Seconds that a look may take: the process must end within ten when it is told to."""


class Verdicts:
    """What is measured against each target."""

    def __init__(
        self, database: Database[dict[str, Any]], place: Environment, figures: Figures, *, patience: float = PATIENCE
    ) -> None:
        self._database = database
        self._place = place
        self._figures = figures
        self._patience = patience

    def look(self) -> None:
        """Look now. While the database is away the last ones stay."""
        try:
            with pymongo.timeout(self._patience):
                now = datetime.now(UTC)
                found = targets(self._database, self._place.name, 100 * self._place.weight_buffer, now)
                processes = living(self._database, now)
        except PyMongoError as error:
            log.debug("the targets cannot be looked up: %s", str(error)[:200])
            return
        self._figures.judged(found)
        self._figures.called(processes)
