"""What documents share with the code that works them out: plain values, for which nothing else has to be imported."""

from typing import Final, Literal

SLOTS_PER_BUCKET: Final = 240
"""Candles in one document."""

Mode = Literal["signal-only", "auto-execute"]
"""Whether orders are sent, or only worked out."""
