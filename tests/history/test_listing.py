"""Which series was meant: known names pass, unknown ones are refused with the nearest."""

from datetime import UTC, datetime

import pytest

from pipeline.errors import UsageError
from pipeline.history.listing import wanted_series
from tests.contracts import contract

BEGAN, ENDED = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 12, 25, tzinfo=UTC)


LISTED = [contract(name, onboarded=BEGAN, delivery=ENDED) for name in ("BTCUSDT", "ETHUSDT", "币安人生USDT")]


def test_each_symbol_with_each_interval_once() -> None:
    found = wanted_series(["btcusdt", "币安人生USDT", "btcusdt"], ["1m", "1M", "1m"], LISTED, "sim")
    assert [str(one.key) for one in found] == [
        "sim:BTCUSDT:1m",
        "sim:BTCUSDT:1M",
        "sim:币安人生USDT:1m",
        "sim:币安人生USDT:1M",
    ]
    assert found[0].listed == 1_577_836_800_000


@pytest.mark.parametrize(
    ("symbols", "intervals", "said"),
    [
        (["BTUSDT"], ["1m"], r"no symbol 'BTUSDT'\. Did you mean BTCUSDT\?"),
        (["zzz"], ["1m"], r"no symbol 'zzz'\.$"),
        (["BTCUSDT"], ["61m"], r"unknown interval '61m'.*Allowed: 1s, 1m, 3m"),
        (["BTCUSDT"], ["1s"], r"sim has no 1s candles: --exchange sim-spot"),
        (["BTCUSD_PERP"], ["1m"], r"no symbol 'BTCUSD_PERP'\. BTCUSD_PERP is COIN-M: --exchange sim-cm\."),
    ],
)
def test_what_is_not_known_is_refused_before_anything_is_fetched(
    symbols: list[str], intervals: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        wanted_series(symbols, intervals, LISTED, "sim")
