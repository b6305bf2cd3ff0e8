"""How much of the time a stream connection carried data. Told of the changes and the time; measures nothing itself.

Counted from the first data on: connecting for the first time is no outage, unless it takes longer than a silence may.
A connection that fell silent was down from its last data on, however late that was noticed.
"""

from dataclasses import dataclass, field
from typing import Final

DAY: Final = 86_400.0
_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, and how much of it was without data. Seconds."""

    seconds: float
    down: float


@dataclass(slots=True)
class Uptime:
    """Of one connection, however often it is made anew. All times are of one steady clock, in seconds."""

    asked_at: float
    grace: float
    _since: float | None = None
    _down_from: float | None = None
    _down_in_all: float = 0.0
    _minutes: dict[int, float] = field(default_factory=dict)
    """Seconds without data in each minute of the last day that had any."""

    def carries(self, now: float) -> None:
        """Data flows from now on."""
        if self._since is None:
            late = now - self.asked_at > self.grace
            self._since = self.asked_at if late else now
            self._down_from = self._since
        if self._down_from is not None:
            self._write_off(self._down_from, now)
            self._down_from = None

    def lost(self, since: float) -> None:
        """No data has come since then."""
        if self._since is not None and self._down_from is None:
            self._down_from = max(since, self._since)

    def span(self, now: float, period: float = float("inf")) -> Span | None:
        """Of the last `period`, or since the beginning if that is later; None as long as there is nothing to tell."""
        since, down_from = self._since, self._down_from
        if since is None:
            if now - self.asked_at <= self.grace:
                return None
            since = down_from = self.asked_at
        seconds = min(now - since, period)
        lasting = 0.0 if down_from is None else min(now - down_from, seconds)
        return Span(seconds, min(self._over(now, period) + lasting, seconds))

    def _over(self, now: float, period: float) -> float:
        """Seconds of outages that are over. Of a period, to the minute."""
        if period > DAY:
            return self._down_in_all
        oldest = (now - period) // _MINUTE
        return sum(seconds for minute, seconds in self._minutes.items() if minute >= oldest)

    def _write_off(self, begin: float, end: float) -> None:
        self._down_in_all += end - begin
        begin = max(begin, end - DAY)
        while begin < end:
            minute = int(begin // _MINUTE)
            edge = min(end, (minute + 1) * _MINUTE)
            self._minutes[minute] = self._minutes.get(minute, 0.0) + edge - begin
            begin = edge
        for minute in [one for one in self._minutes if one < (end - DAY) // _MINUTE]:
            del self._minutes[minute]


def share_up(spans: list[tuple[int, Span]]) -> float | None:
    """Of connections with so many streams each, the share of their time in which they carried data."""
    wanted = sum(streams * span.seconds for streams, span in spans)
    return 1 - sum(streams * span.down for streams, span in spans) / wanted if wanted else None
