"""Which candle wins when two say different things. Pure laws over whole buckets; no database.

| stored | offered by the stream | offered by the exchange's REST or archive |
|---|---|---|
| nothing | stored | stored |
| open | stored if closed, or newer by event time | the same |
| closed | refused | stored if it is closed and its market values differ (a correction) |

An open candle of the stream that is as new as the stored one is stored if it is the greater, field by field.
So time never runs backwards and a closed candle never reopens, whatever the order in which writers arrive. A candle
whose market values stay the same keeps the indicators it has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.store.candles.frame import MARKET_FIELDS, Flags, Grid, Values
from schemas.candles import CANDLE_FIELDS, INDICATOR_FIELDS


@dataclass(frozen=True, slots=True)
class Merged:
    """What the buckets should hold now, which slots that changes, and which offered candles were refused."""

    grid: Grid
    changed: Flags
    refused: Flags


Law = Callable[[Grid, Grid], Merged]
"""(stored, offered) -> merged. Both grids hold the same buckets."""


def merge_truth(stored: Grid, offered: Grid) -> Merged:
    """Offered by REST or archive: may correct a closed candle, never reopens one."""
    if not stored.present.any():
        nothing = np.zeros_like(offered.present)
        merged = Grid(offered.starts, stored.revisions, offered.present, offered.values)
        return Merged(merged, offered.present, nothing)
    both = stored.present & offered.present
    differs = _any_differs(stored, offered, MARKET_FIELDS) & both
    is_closed = offered.values["closed"]
    was_closed = stored.values["closed"] & both
    newer = both & (offered.values["u"] > stored.values["u"])
    settles = is_closed & (differs | ~was_closed)
    advances = ~is_closed & ~was_closed & newer
    accepted = offered.present & (~both | settles | advances)
    refused = both & ~is_closed & ~accepted & (differs | was_closed)
    values = {name: np.where(accepted, offered.values[name], stored.values[name]) for name in CANDLE_FIELDS}
    changed = accepted.copy()
    for name in INDICATOR_FIELDS:
        known = offered.present & ~np.isnan(offered.values[name])
        kept = both & ~differs & ~known
        values[name] = np.where(kept, stored.values[name], values[name])
        fills = known & both & ~differs & ~refused & (offered.values[name] != stored.values[name])
        values[name] = np.where(fills, offered.values[name], values[name])
        changed |= fills
    merged = Grid(stored.starts, stored.revisions, stored.present | offered.present, values)
    return Merged(merged, changed, refused)


def merge_indicators(stored: Grid, offered: Grid) -> Merged:
    """Indicators of stored candles. Where `u` is offered too, only while the stored candle is still that one."""
    both = stored.present & offered.present
    if "u" in offered.values:
        both = both & (stored.values["u"] == offered.values["u"])
    values: dict[str, Values] = dict(stored.values)
    changed = np.zeros_like(both)
    for name in offered.values.keys() & set(INDICATOR_FIELDS):
        before, after = stored.values[name], offered.values[name]
        moves = both & (before != after) & ~(np.isnan(before) & np.isnan(after))
        values[name] = np.where(moves, after, before)
        changed |= moves
    merged = Grid(stored.starts, stored.revisions, stored.present, values)
    return Merged(merged, changed, offered.present & ~both)


def _any_differs(stored: Grid, offered: Grid, names: tuple[str, ...]) -> Flags:
    differs = np.zeros_like(stored.present)
    for name in names:
        differs |= stored.values[name] != offered.values[name]
    return differs
