"""Runs a strategy and holds it to its word: the right columns in, one code a candle out, nothing across a hole."""

import inspect
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from pipeline.indicators import segments
from pipeline.periods import Floats, Integers
from pipeline.strategies.base import AnswerError, Codes, Kind, Prices, Strategy

_HIGHEST = int(max(Kind))


def run(strategy: Strategy, columns: Prices) -> Codes:
    """The codes of consecutive candles."""
    wanted = _wanted(strategy, columns)
    try:
        codes = strategy.signals(wanted)
    except Exception as error:
        raise AnswerError(strategy.name, f"failed: {_told(strategy, error)}") from error
    return _checked(strategy, codes, len(next(iter(wanted.values()))))


def run_history(strategy: Strategy, columns: Prices, numbers: Integers) -> Codes:
    """The codes of a history. Where a candle number is missing is a hole, and the strategy starts afresh after it."""
    codes = np.zeros(len(numbers), dtype=np.int8)
    for begin, end in segments(numbers):
        part = slice(begin, end)
        codes[part] = run(strategy, {name: columns[name][part] for name in strategy.needs if name in columns})
    return codes


def last_code(strategy: Strategy, columns: Prices, before: Codes | None = None) -> int:
    """The code at the last candle, from no more candles than the strategy looks back over.

    `before` are the codes of the candles before it, as `run` gives them. With them a strategy that has `may_signal` can
    say at once that nothing happens: that is what makes an update of the open candle cheap.
    """
    may_signal = getattr(strategy, "may_signal", None)
    if may_signal is not None and before is not None and len(before):
        try:
            if not may_signal(columns, before):
                return 0
        except Exception as error:
            raise AnswerError(strategy.name, f"failed in may_signal: {_told(strategy, error)}") from error
    wanted = {name: values[-strategy.lookback - 1 :] for name, values in _wanted(strategy, columns).items()}
    codes = run(strategy, wanted)
    return int(codes[-1]) if len(codes) else 0


def place_of(strategy: Strategy) -> str:
    """Where its rule begins: the file and the line of its `signals`."""
    code = _code_of(strategy)
    return type(strategy).__name__ if code is None else f"{Path(code.co_filename).name}, line {code.co_firstlineno}"


def _told(strategy: Strategy, error: Exception) -> str:
    """What went wrong, and in which line of the strategy's own file."""
    code = _code_of(strategy)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [one.lineno for one in frames if code is not None and one.filename == code.co_filename]
    place = f" ({Path(code.co_filename).name}, line {lines[-1]})" if code is not None and lines else ""
    return f"{type(error).__name__}: {error}{place}"


def _code_of(strategy: Strategy) -> CodeType | None:
    """That of its rule itself, whatever it is wrapped in; None where it is not written in Python."""
    rule = inspect.unwrap(type(strategy).signals)
    return getattr(getattr(rule, "py_func", rule), "__code__", None)


def _wanted(strategy: Strategy, columns: Prices) -> dict[str, Floats]:
    try:
        return {name: columns[name] for name in strategy.needs}
    except KeyError as missing:
        there = ", ".join(columns)
        reason = f"needs the column {missing.args[0]!r}, which is not computed. There are: {there}"
        raise AnswerError(strategy.name, reason) from None


def _checked(strategy: Strategy, codes: Any, length: int) -> Codes:
    if not isinstance(codes, np.ndarray) or codes.dtype != np.int8:
        given = codes.dtype if isinstance(codes, np.ndarray) else type(codes).__name__
        raise AnswerError(strategy.name, f"must answer a numpy array of int8, not {given}")
    if codes.shape != (length,):
        reason = f"must answer one code a candle: {length} candles, codes of shape {codes.shape}"
        raise AnswerError(strategy.name, reason)
    if length and not (codes.min() >= -_HIGHEST and codes.max() <= _HIGHEST):
        strange = sorted(set(codes[np.abs(codes.astype(np.int64)) > _HIGHEST].tolist()))
        kinds = ", ".join(kind.name.lower() for kind in Kind)
        reason = (
            f"answered the unknown code {strange[0]}; codes are 0 and 1 to {_HIGHEST} ({kinds}), negative for short"
        )
        raise AnswerError(strategy.name, reason)
    return codes
