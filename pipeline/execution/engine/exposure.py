"""For how long positions were without a standing stop: a figure whose target is nought. Pure; it protects nothing."""

from dataclasses import dataclass, field
from typing import Final

from pipeline.execution.engine.state import PositionRecord
from pipeline.timeline import SECOND

PLACING: Final = SECOND
"""A stop is placed at the first fill that is heard of: so long the exchange may take to say that it stands."""


@dataclass(slots=True)
class Exposure:
    """Of all positions of one executor since its start. What placing a stop takes does not count."""

    _over: int = 0
    _since: dict[str, int] = field(default_factory=dict)

    def seen(self, position: PositionRecord, now: int) -> None:
        """This is how the position is now."""
        since = position.unprotected_since if position.ours and position.exposed else None
        begun = self._since.pop(position.symbol, None)
        if begun is not None and since is None:
            self._over += _beyond_placing(begun, now)
        elif since is not None:
            self._since[position.symbol] = since if begun is None else begun

    def seconds(self, now: int) -> float:
        """What has come together."""
        return (self._over + sum(_beyond_placing(since, now) for since in self._since.values())) / SECOND


def _beyond_placing(since: int, now: int) -> int:
    return max(0, now - since - PLACING)
