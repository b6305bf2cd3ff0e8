import pytest

from pipeline.nearest import folded, hint, nearest
from pipeline.timeline import UnknownIntervalError, interval

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BTCUSDC"]
STRATEGIES = ["macd_cross", "ma_order_golden", "donchian"]


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("BTCUSD", SYMBOLS[:3], "BTCUSDT"),
        ("BTCUSTD", SYMBOLS, "BTCUSDT"),
        ("btcusdt", SYMBOLS, "BTCUSDT"),
        ("DOGEUSDT", SYMBOLS, None),
        ("BNBUSDT", SYMBOLS, None),
        ("", SYMBOLS, None),
        ("donchain", STRATEGIES, "donchian"),
        ("ma_ordr_goldn", STRATEGIES, "ma_order_golden"),
        ("turtle", STRATEGIES, None),
    ],
)
def test_only_what_is_near_is_offered(name: str, known: list[str], near: str | None) -> None:
    assert nearest(name, known) == near
    assert hint(name, known) == (f" Did you mean {near}?" if near else "")


def test_full_width_letters_are_the_ordinary_ones() -> None:
    assert folded("ＢＴＣＵＳＤＴ ") == "BTCUSDT"


@pytest.mark.parametrize(("text", "code"), [("60m", "1h"), ("24h", "1d"), ("7d", "1w"), ("１ｈ", "1h"), ("120m", "2h")])
def test_an_interval_is_known_by_its_length(text: str, code: str) -> None:
    assert interval(text).code == code


@pytest.mark.parametrize(("text", "offer"), [("1H", "'1h'"), ("15M", "'15m'"), ("15x", "'15m'")])
def test_an_interval_in_the_wrong_case_is_offered_in_the_right_one(text: str, offer: str) -> None:
    with pytest.raises(UnknownIntervalError, match=f"Did you mean {offer}"):
        interval(text)


@pytest.mark.parametrize("text", ["", "m", "0m", "17m", "hour", "-1h", "999999999999999999h"])
def test_another_length_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(UnknownIntervalError, match="Allowed: 1s, 1m, 3m"):
        interval(text)
