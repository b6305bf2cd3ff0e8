"""A market for searches: a walk without an edge, or one that goes on for a while the way it goes; and a search over it
without a database."""

import numpy as np

from pipeline.periods import PERIODS
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.search.asking import Asking
from pipeline.research.search.candles import Candles
from pipeline.research.search.evaluate import Stage
from pipeline.research.search.forward import forward_of
from pipeline.research.search.jobs import in_this_process
from pipeline.research.search.judge import evidence_of
from pipeline.research.search.objectives import Objectives
from pipeline.research.search.space import space_of
from pipeline.research.search.trial import Plan, Trials
from pipeline.research.search.verdict import Verdict, verdict_of
from pipeline.research.walk_forward import best_of, folds_of
from pipeline.strategies.ma_breakout import MaBreakout
from pipeline.timeline import DAY, MINUTE, interval
from tests.research.stage import BEGIN, TICK, asked

STEP = 15
_STORM = 4e-4
_LASTS = 2_000


def market(seed: int, days: int, edge: float, symbol: str = "BTCUSDT") -> tuple[Minutes, Candles]:
    """Minutes, and their candles of a quarter of an hour. `edge`: the drift of a minute, up or down for a day or two,
    by its deviation; 0: no price tells of the next."""
    dice = np.random.default_rng(seed)
    count = days * DAY // MINUTE
    begin = BEGIN // DAY * DAY
    turns = np.cumsum(dice.random(count) < 1 / _LASTS) % 2 * 2 - 1
    closes = 50_000 * np.exp(np.cumsum(dice.normal(0, _STORM, count) + edge * _STORM * turns))
    opens = np.append(50_000.0, closes[:-1])
    highs = np.maximum(opens, closes) * (1 + np.abs(dice.normal(0, _STORM / 2, count)))
    lows = np.minimum(opens, closes) * (1 - np.abs(dice.normal(0, _STORM / 2, count)))
    columns = [np.round(one, 1) for one in (opens, highs, lows, closes)]
    minutes = Minutes.of(symbol, TICK, begin + MINUTE * np.arange(count), *columns)
    o, h, low, c = (one.reshape(-1, STEP) for one in columns)
    prices = {
        "open": o[:, 0].copy(), "high": h.max(axis=1), "low": low.min(axis=1), "close": c[:, -1].copy(),
        "volume": np.ones(len(o)),
    }  # fmt: skip
    first = interval("15m").index(begin)
    return minutes, Candles(symbol, "15m", np.arange(first, first + len(o)), prices, PERIODS, 1, 60_000)


def verdict(seed: int, edge: float, *, trials: int, days: int, draws: int, named: tuple[str, ...]) -> Verdict:
    """Of a search at random."""
    minutes, candles = market(seed, days, edge)
    stage = Stage(asked(minutes, []), [candles], space_of(MaBreakout, {}, named))
    judged = Trials(stage, Plan(Objectives.of(["sharpe"]), folds_of(days, 4), early=False))
    asking = Asking(stage.space, "random", seed)
    points, answers = [], []
    while len(points) < trials and (wanted := asking.ask(trials - len(points))):
        for one in wanted:
            points.append(one.point)
            answers.append(judged.answer(one.point))
            asking.tell(one.number, None)
    forward = forward_of(judged, points, [one.folds for one in answers], list(range(len(points))))
    top = best_of([one.figures.get("sharpe") for one in answers])
    equities = [one.equity for one in answers]
    best = None if top is None else points[top]
    do = in_this_process(judged)
    return verdict_of(evidence_of(judged, do, best, equities, top, forward, ever=trials, seed=seed, draws=draws))
