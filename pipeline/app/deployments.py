"""What is served on a schedule, as whoever serves it tells: so that anybody can miss what does not run."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pipeline.app.opened import Opened
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.deployments import DeploymentStore
from pipeline.store.mongod.session import running

__all__ = ["tell_completed", "tell_ended", "tell_served"]


def tell_served(tm: Opened, every: Mapping[str, timedelta]) -> None:
    """From now on these are served, each at that distance; no others are."""
    DeploymentStore(tm.db, tm.environment).serve(every, datetime.now(UTC))


def tell_ended(tm: Opened) -> None:
    """Nobody has to miss anything: they are served no more because somebody wanted that."""
    DeploymentStore(tm.db, tm.environment).stop_serving()


def tell_completed(settings: Settings, name: str) -> None:
    """A run of it succeeded. It comes after every run, and the run has prepared the database."""
    with running(settings) as uri, connect.client(uri) as client:
        DeploymentStore(client[settings.database], settings.environment).complete(name, datetime.now(UTC))
