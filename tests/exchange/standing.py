"""A clock that stands: no minute ends while a test counts what is used in it, and no candle closes."""

from typing import Final

from pipeline.exchange.clock import ClockSample, ServerClock

NOW: Final = 1_700_006_410_000
"""Ten seconds past a minute."""


def standing() -> ServerClock:
    """It was measured, and is the exchange's."""
    return ServerClock(lambda: NOW, lambda: NOW, ClockSample(NOW, NOW, NOW, NOW))
