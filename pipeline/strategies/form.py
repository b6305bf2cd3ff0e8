"""What a strategy says of itself: the columns it needs, how far it looks back, its edition and its markets. Whether it
keeps to it is tried elsewhere (`check`); here nothing runs.
"""

from pipeline.errors import UsageError
from pipeline.periods import PERIODS, TAIL
from pipeline.strategies.base import AnswerError, Strategy, StrategyError, edition_of, markets_of


def require_in_form(strategy: Strategy) -> None:
    """Refuse a strategy that needs columns or a look back that it cannot be given."""
    misstated = misstated_of(strategy)
    if misstated is not None:
        raise StrategyError(f"strategy {strategy.name} is refused: {misstated}")


def misstated_of(strategy: Strategy) -> str | None:
    """What is wrong with what a strategy says of itself."""
    try:
        needs, lookback = strategy.needs, strategy.lookback
    except Exception as error:
        raise AnswerError(strategy.name, f"failed: {type(error).__name__}: {error}") from error
    if not isinstance(needs, tuple) or not needs or not all(isinstance(each, str) for each in needs):
        return f"its needs must be a tuple of column names, not {needs!r}"
    try:
        PERIODS.including(needs)
    except UsageError as error:
        return str(error)
    if not isinstance(lookback, int):
        return f"its lookback must be a whole number of candles, not {lookback!r}"
    if not 0 <= lookback < TAIL:
        return f"its lookback is {lookback} candles; the live window allows 0 to {TAIL - 1}"
    try:
        markets_of(strategy)
    except AnswerError as error:
        return error.reason
    edition = edition_of(strategy)
    if not isinstance(edition, int) or edition < 1:
        return f"its edition must be a whole number from 1 on, not {edition!r}"
    return None
