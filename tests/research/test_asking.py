"""Who says what is tried next: no set twice, none that is refused, and an end where there is no other."""

import pytest

from pipeline.research.search.asking import ROUND, SAMPLERS, Asking, Wanted
from pipeline.research.search.space import space_of
from pipeline.strategies.macd_turtle import MacdTurtle

NAMED = ["short=3..12:3", "mid=10,20", "criterion"]


def asked(sampler: str, seed: int, most: int, objectives: int) -> list[Wanted]:
    """So many, in rounds; each seventh comes to nothing."""
    asking = Asking(space_of(MacdTurtle, {}, NAMED), sampler, seed, objectives)
    found: list[Wanted] = []
    while len(found) < most and (wanted := asking.ask(most - len(found))):
        assert len(wanted) <= ROUND
        for one in wanted:
            scores = [float(one.point["short"]), -float(one.point["mid"])][:objectives]
            asking.tell(one.number, scores if one.number % 7 else None)
        found += wanted
    return found


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_all_that_is_taken_is_asked_for_once_and_then_no_more(sampler: str, objectives: int) -> None:
    space = space_of(MacdTurtle, {}, NAMED)
    found = asked(sampler, 1, 10_000, objectives)
    assert [one.number for one in found] == list(range(len(found)))
    told = [tuple(one.point.items()) for one in found]
    assert sorted(map(str, told)) == sorted(str(tuple(one.items())) for one in space.points())
    assert 0 < len(found) < space.size
