"""Client order ids: the same for the same decision, in the exchange's letters, and it can be told whose they are."""

import string
from dataclasses import replace
from typing import get_args

import pytest

from pipeline.execution.engine.client_ids import UNNAMED, Identity, installation_of, leg_of
from schemas.orders import Leg

OURS = Identity("sim", "abc123")
THEIRS = Identity("sim", "zyx987")
UNNAMED_ID = "tm-s-11629fc01e2bda6444400a315919"
LEGS: tuple[Leg, ...] = get_args(Leg)


def test_ids_are_the_same_for_the_same_decision_and_the_exchange_takes_them() -> None:
    makers = [Identity(environment, name) for environment in "ab" for name in ("first1", "second")]
    ids = {
        who.order_id(signal, leg, number)
        for who in makers
        for signal in ("1", "2")
        for leg in LEGS
        for number in (0, 1)
    }
    assert len(ids) == 4 * 2 * len(LEGS) * 2
    assert OURS.order_id("s1", "entry") == OURS.order_id("s1", "entry")
    allowed = set(string.ascii_letters + string.digits + ".:/_-")
    assert all(1 <= len(one) <= 36 and set(one) <= allowed for one in ids)


@pytest.mark.parametrize("leg", LEGS)
def test_an_id_tells_who_placed_it_and_what_for(leg: Leg) -> None:
    name = OURS.order_id("s1", leg)
    assert (installation_of(name), leg_of(name)) == ("abc123", leg)
    assert OURS.is_of(name, "s1", leg)
    assert THEIRS.is_of(name, "s1", leg), "the same decision, whoever made it"
    assert not OURS.is_of(name, "s2", leg)


@pytest.mark.parametrize("name", ["web_123", "", "tm-", "tm-q-1", "tm-abc-s-1", "autoclose-1", "x-tm-s-1"])
def test_the_orders_of_other_programs_are_nobodys(name: str) -> None:
    assert (installation_of(name), leg_of(name), OURS.other(name)) == (None, None, None)
    assert not OURS.owns(name)


def test_what_was_taken_over_is_ours() -> None:
    name = THEIRS.order_id("s1", "stop", 7)
    assert (OURS.owns(name), OURS.other(name), OURS.keeps("zyx987")) == (False, "zyx987", False)
    heir = replace(OURS, taken_over=frozenset({"zyx987"}))
    assert (heir.owns(name), heir.other(name), heir.keeps("zyx987")) == (True, None, True)


def test_from_before_there_were_names_the_journal_decides() -> None:
    assert (installation_of(UNNAMED_ID), leg_of(UNNAMED_ID)) == (UNNAMED, "stop")
    assert OURS.other(UNNAMED_ID) == UNNAMED
    assert OURS.keeps(UNNAMED)
    assert OURS.keeps(None)
    copy = replace(OURS, copied=True)
    assert not copy.keeps(UNNAMED)
    assert not copy.keeps(None)
    assert replace(copy, taken_over=frozenset({UNNAMED})).owns(UNNAMED_ID)
