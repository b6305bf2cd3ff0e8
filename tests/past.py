"""A history for an ingester under test: whole and traded, unless the test says otherwise."""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.series import SeriesKey


@dataclass
class PlainPast:
    fill: Callable[[SeriesKey], None] = lambda _: None
    decimals: Callable[[str], int] = lambda _: 8
    must_trade: Callable[[str], None] = lambda _: None
    fetch: Callable[[SeriesKey], None] = lambda _: None
    is_whole: Callable[[SeriesKey], bool] = lambda _: True
