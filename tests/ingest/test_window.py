"""The window against the plainest model of itself: a list."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.candle import Candle
from pipeline.ingest.events import ClosedCandles
from pipeline.ingest.window import CandleWindow


def candle(n):
    return Candle(n, n + 0.1, n + 0.4, n + 0.0, n + 0.3, n + 0.5, 0.0, 0, 0.0, 0.0, True, n)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(
        st.one_of(
            st.just("clear"),
            st.tuples(st.just("fix"), st.integers(0, 5)),
            st.tuples(st.just("restart"), st.lists(st.integers(0, 999))),
            st.integers(0, 999),
        )
    ),
)
def test_the_window_is_the_end_of_the_list(size, slack, steps):
    window, model = CandleWindow(size, slack), []
    for step in steps:
        match step:
            case "clear":
                window.clear()
                model.clear()
            case ("restart", numbers):
                window.restart(ClosedCandles.of(candle(number) for number in numbers).prices)
                model = [candle(number) for number in numbers]
            case ("fix", age) if age < len(model):
                window.replace(age, candle(7_000))
                model[-1 - age] = candle(7_000)
            case int():
                window.append(candle(step))
                model.append(candle(step))
        model = model[-size:]
        assert window.closed().T.tolist() == [list(c[1:6]) for c in model]
        assert window.with_open(candle(5)).T.tolist() == [list(c[1:6]) for c in [*model, candle(5)]]
        assert len(window) == len(model)
