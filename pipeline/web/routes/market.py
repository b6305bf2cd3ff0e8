"""Coins, candles and signals: what a person looks at."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from pipeline.app import chart, signals, strategies
from pipeline.app.trading_access import is_traded
from pipeline.exchange_names import is_production, market_of
from pipeline.web import answers
from pipeline.web.columns import packed
from pipeline.web.places import At, Places

router = APIRouter(tags=["market"])

MOST_SIGNALS: Final = 10_000
MOST_FILLS: Final = 10_000
FARTHEST: Final = 4_102_444_800_000
"""The year 2100: no candle is looked for after it."""

MaybeMoment = Annotated[int | None, Query(ge=0, le=FARTHEST, description="milliseconds, UTC")]
Limit = Annotated[int, Query(description=f"at most so many candles, up to {chart.MOST:,}")]


@router.get("/me")
def me(request: Request) -> answers.Myself:
    """Who asks, what they may, and which exchanges there are."""
    places: Places = request.app.state.places
    each = [
        answers.Place(
            name=name, market=market_of(name), production=is_production(name), traded=is_traded(one.tm.settings)
        )
        for name, one in places.each.items()
    ]
    return answers.Myself(role=request.state.role, version=request.app.version, exchanges=each)


@router.get("/coins")
def coins(at: At) -> list[answers.CoinNow]:
    """Every symbol that is watched or stored, those that are watched first."""
    return [answers.CoinNow.model_validate(one) for one in at.coins.look()]


@router.get("/candles/{symbol}/{interval}", response_class=Response)
def candles(
    at: At,
    symbol: str,
    interval: str,
    before: MaybeMoment = None,
    limit: Limit = 2_000,
) -> Response:
    """The newest candles, or the newest of those that open before a moment.

    They are columns of doubles behind a head in JSON: its length in four bytes, the head, then the columns that it
    names, each `count` numbers long. A place in a column is a time; where no candle is stored it holds NaN.
    """
    found = chart.stretch(at.tm, symbol, interval, before=before, limit=limit)
    indicators = at.tm.settings.indicators
    body = packed(
        found.step,
        found.columns,
        chart.COLUMNS,
        symbol=found.key.symbol,
        interval=found.key.interval,
        milliseconds=found.step.milliseconds,
        older=found.older,
        tick=None if found.tick is None else f"{found.tick:f}",
        bands={"length": indicators.bollinger, "deviations": indicators.bollinger_deviations},
    )
    return Response(body, media_type="application/octet-stream", headers={"cache-control": "no-store"})


@router.get("/marks/{symbol}/{interval}")
def marks(
    at: At,
    symbol: str,
    interval: str,
    since: MaybeMoment = None,
    before: MaybeMoment = None,
    limit: Limit = 2_000,
) -> list[tuple[str, int, str, str, str, str]]:
    """Signals as a chart marks them: id, opening time of the candle, side, kind, strategy, verdict.

    Of the candles that open from `since` on, and before `before`; without `since`, of those that the same `before` and
    `limit` are answered with under `/candles`.
    """
    return list(chart.marks(at.tm, symbol, interval, since=since, before=before, limit=limit))


@router.get("/fills/{symbol}")
def fills(at: At, symbol: str, limit: Annotated[int, Query(ge=1, le=MOST_FILLS)] = 2_000) -> list[answers.FillNow]:
    """The newest orders of a symbol of which something was filled, in the order of time."""
    return [answers.FillNow.model_validate(one) for one in chart.fills(at.tm, symbol, limit)]


@router.get("/signals")
def found_signals(
    at: At,
    symbol: str | None = None,
    interval: str | None = None,
    strategy: str | None = None,
    since: MaybeMoment = None,
    *,
    fresh: bool = False,
    sort: Literal["at", "return"] = "at",
    limit: Annotated[int, Query(ge=1, le=MOST_SIGNALS)] = 200,
) -> list[answers.SignalNow]:
    """The newest first, or the best first, with their returns as they are at this moment."""
    asked = signals.asked_for(at.tm, symbol=symbol, strategy=strategy, interval=interval, since=since, only_fresh=fresh)
    return [answers.SignalNow.model_validate(one) for one in signals.signals(at.tm, asked, sort, limit).signals]


@router.get("/strategies")
def known_strategies(at: At) -> list[answers.StrategyKnown]:
    """Those that run, and then the others."""
    return [answers.StrategyKnown.model_validate(one) for one in strategies.listed(at.tm.settings)]
