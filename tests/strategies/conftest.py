"""Stories: a few hand-made candles written as columns, and how to hold a strategy against them."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pipeline.strategies.base import Side, Strategy, meaning_of
from pipeline.strategies.runner import last_code, run

Story = Callable[..., dict[int, str]]


@pytest.fixture
def story() -> Story:
    """`story(strategy, close=[...], ...)` gives {candle: "long entry"}; a column that is not told is flat at 100.

    Every story is also told candle by candle, as it happens live, and must give the same.
    """

    def tell(strategy: Strategy, **told: Sequence[float]) -> dict[int, str]:
        length = len(next(iter(told.values())))
        columns = {name: np.full(length, 100.0) for name in strategy.needs}
        columns |= {name: np.array(values, dtype=np.float64) for name, values in told.items()}
        assert {len(values) for values in columns.values()} == {length}
        assert set(told) <= set(strategy.needs)
        codes = run(strategy, columns)
        for at in range(length):
            so_far = {name: values[: at + 1] for name, values in columns.items()}
            assert last_code(strategy, so_far) == last_code(strategy, so_far, codes[:at]) == codes[at], at
        said = {int(at): meaning_of(int(codes[at])) for at in np.flatnonzero(codes)}
        assert all(codes[at] == (each.kind if each.side is Side.LONG else -each.kind) for at, each in said.items())
        return {at: f"{each.side.value} {each.kind.name.lower()}" for at, each in said.items()}

    return tell
