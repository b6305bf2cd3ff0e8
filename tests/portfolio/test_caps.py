"""The caps of all positions together, counted by hand."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from pipeline.portfolio.caps import Held, refusal, uses
from pipeline.settings import Portfolio

EQUITY = D(1_000)
HELD = (
    Held("BTCUSDT", worth=D(900), margin=D(300), at_risk=D(30)),
    Held("ETHUSDT", worth=D(600), margin=D(200), at_risk=D(20)),
    Held("SOLUSDT", worth=D(-400), margin=D(100), at_risk=D(15)),
)
LONG = Held("XRPUSDT", worth=D(300), margin=D(100), at_risk=D(10))
SHORT = Held("XRPUSDT", worth=D(-300), margin=D(100), at_risk=D(10))

WOULD = "would come to"


@pytest.mark.parametrize(
    ("setting", "wanted", "comes_to", "said"),
    [
        ("gross_percent", LONG, D(220), f"everything held {WOULD} 220.00 %"),
        ("gross_percent", SHORT, D(220), f"everything held {WOULD} 220.00 %"),
        ("net_percent", LONG, D(140), f"longs less shorts {WOULD} 140.00 %"),
        ("side_percent", LONG, D(180), f"all longs {WOULD} 180.00 %"),
        ("margin_percent", LONG, D(70), f"the margin used {WOULD} 70.00 %"),
        ("open_risk_percent", SHORT, D("7.5"), f"what is lost where every stop is reached {WOULD} 7.50 %"),
    ],
)
def test_what_is_just_within_a_cap_is_opened_and_what_is_just_beyond_is_not(setting, wanted, comes_to, said):
    assert refusal(Portfolio(**{setting: comes_to}), EQUITY, HELD, wanted, None) is None
    least = comes_to - D("0.01")
    assert refusal(Portfolio(**{setting: least}), EQUITY, HELD, wanted, None) == (
        f"{said} of the equity, {least} is the most ([portfolio] {setting})"
    )


def test_shorts_have_the_same_room_as_longs():
    assert refusal(Portfolio(side_percent=D(70)), EQUITY, HELD[2:], SHORT, None) is None
    assert "all shorts" in (refusal(Portfolio(side_percent=D(69)), EQUITY, HELD[2:], SHORT, None) or "")


@pytest.mark.parametrize(("setting", "most"), [("net_percent", D(50)), ("side_percent", D(100))])
def test_what_takes_no_more_of_a_cap_is_opened_however_much_is_held(setting, most):
    """110 % are held net, and 80 % would be; 150 % are held long, and stay as they are."""
    assert refusal(Portfolio(**{setting: most}), EQUITY, HELD, SHORT, None) is None


def test_a_short_past_the_other_side_is_as_much_as_a_long():
    deep = Held("XRPUSDT", worth=D(-2_300), margin=D(700), at_risk=D(10))
    assert "120.00 %" in (refusal(Portfolio(net_percent=D(115)), EQUITY, HELD, deep, None) or "")


def test_what_is_being_closed_takes_nothing_off_the_other_side():
    leaving = (*HELD[:2], replace(HELD[2], leaves=True))
    assert refusal(Portfolio(net_percent=D(150)), EQUITY, HELD, LONG, None) is None
    assert "180.00 %" in (refusal(Portfolio(net_percent=D(150)), EQUITY, leaving, LONG, None) or "")
    assert refusal(Portfolio(net_percent=D(150)), EQUITY, leaving, SHORT, None) is None


def test_nothing_is_capped_as_shipped():
    assert not Portfolio().is_capped
    assert refusal(Portfolio(), EQUITY, HELD, LONG, None) is None


def test_of_no_equity_nothing_is_opened():
    for equity in (D(0), D(-5)):
        assert "Infinity %" in (refusal(Portfolio(gross_percent=D(500)), equity, (), LONG, None) or "")


def test_a_group_is_a_symbol_and_what_moves_like_it():
    def asked(most, alike):
        return refusal(Portfolio(group_percent=most), EQUITY, HELD, LONG, alike)

    assert asked(D(30), frozenset()) is None
    assert asked(D(90), {"ETHUSDT"}) is None
    assert asked(D("89.99"), {"ETHUSDT"}) == (
        "longs less shorts of what moves like XRPUSDT would come to 90.00 % of the equity, 89.99 is the most "
        "([portfolio] group_percent)"
    )
    assert asked(D(50), {"ETHUSDT", "SOLUSDT"}) is None, "what is short takes off of it"


def test_where_nobody_knows_what_moves_alike_a_cap_on_it_lets_nothing_through():
    said = refusal(Portfolio(group_percent=D(500)), EQUITY, HELD, LONG, None)
    assert said == "what moves like XRPUSDT is not known, and [portfolio] group_percent caps it"
    assert not Portfolio(alike=0.5).is_capped


LEAVING = (*HELD[:2], replace(HELD[2], leaves=True))
ALIKE = {"BTCUSDT": {"ETHUSDT"}, "ETHUSDT": {"BTCUSDT"}}


def used(settings, held, equity=EQUITY, alike=ALIKE):
    return [one for one in uses(settings, equity, held, alike) if one.most is not None]


@pytest.mark.parametrize(
    "held", [HELD, HELD[:2], LEAVING, HELD[2:], ()], ids=["all", "longs", "leaving", "short", "none"]
)
@pytest.mark.parametrize("most", [D(1), D(40), D(120), D(260)])
@pytest.mark.parametrize("setting", ["gross", "net", "side", "group", "margin", "open_risk"])
def test_what_a_cap_is_said_to_refuse_is_what_it_refuses(setting, most, held):
    """An order that takes all of the room passes; of one that takes a cent more, that cap is the reason."""
    settings = Portfolio(**{f"{setting}_percent": most})
    for one in used(settings, held):
        symbol = one.cap.group or "XRPUSDT"
        alike = ALIKE.get(symbol) if one.cap.group else ()
        if one.room is None:
            assert alike is None
            assert "is not known" in (refusal(settings, EQUITY, held, Held(symbol, D(1), D(1), D(1)), alike) or "")
            continue
        for side, sign in (("long", 1), ("short", -1)):
            if side not in one.room:
                assert setting == "side", "the other side has its own"
                continue
            wanted = [Held(symbol, sign * each, each, each) for each in (one.room[side], one.room[side] + D("0.01"))]
            fits, beyond = [refusal(settings, EQUITY, held, each, alike) for each in wanted]
            assert fits is None
            assert f"[portfolio] {setting}_percent" in (beyond or "")


def test_what_would_be_refused_is_said_in_words():
    def said(settings, held=HELD):
        return [one.refuses(lambda amount: f"{amount:.0f} USDT") for one in used(settings, held)]

    assert said(Portfolio(gross_percent=D(200))) == ["a position worth more than 100 USDT"]
    assert said(Portfolio(net_percent=D(150))) == ["a long worth more than 400 USDT, a short worth more than 2600 USDT"]
    assert said(Portfolio(net_percent=D(50))) == ["every long, a short worth more than 2200 USDT"]
    assert said(Portfolio(side_percent=D(100))) == ["every long", "a short worth more than 600 USDT"]
    assert said(Portfolio(margin_percent=D(60))) == ["every position"]
    assert said(Portfolio(open_risk_percent=D(7))) == ["a position that loses at its stop more than 5 USDT"]
    assert said(Portfolio(group_percent=D(60)), ()) == ["a position worth more than 600 USDT"]
    assert said(Portfolio(group_percent=D(60)))[2] == "every position: what moves like it is not known"
    assert [one.refuses(str) for one in uses(Portfolio(), EQUITY, HELD, ALIKE)] == [None] * 9


def test_what_is_used_of_each_cap_is_said_and_what_is_over():
    found = {
        one.cap.called: one for one in uses(Portfolio(gross_percent=D(150), margin_percent=D(60)), EQUITY, HELD, {})
    }
    told = {called: (one.now, one.most, one.is_over) for called, one in found.items()}
    assert told == {
        "everything held": (D(190), D(150), True),
        "longs less shorts": (D(110), None, False),
        "all longs": (D(150), None, False),
        "all shorts": (D(40), None, False),
        "the margin used": (D(60), D(60), False),
        "what is lost where every stop is reached": (D("6.5"), None, False),
        "longs less shorts of what moves like BTCUSDT": (D(90), None, False),
        "longs less shorts of what moves like ETHUSDT": (D(60), None, False),
        "longs less shorts of what moves like SOLUSDT": (D(40), None, False),
    }
