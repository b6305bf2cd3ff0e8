"""The report of a run: one file of HTML with everything in it. It has no script, and its browser may load nothing."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import numpy as np

from pipeline.exchange_names import decimals_of_asset
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.groups import KEYS, groups_of
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.run import Backtest, Outcome
from pipeline.research.backtest.trades import Trade
from pipeline.research.figures import drawdowns
from pipeline.research.report.drawing import Line, Mark, candles, histogram, lines, thinned
from pipeline.research.report.tables import table, texts
from pipeline.research.report.why import why_parts
from pipeline.research.report.words import FIGURES, Figure, gain, hours, money, number, share
from pipeline.research.why.answer import Why
from pipeline.timeline import MINUTE, to_datetime

_CHARTS: Final = 12
"""Symbols with candles at most: those with the most trades."""
_MOST: Final = 2_000
"""Trades drawn, or listed, at most."""
_CANDLES: Final = 450
_STYLE: Final = """
.tidemark{font:14px/1.45 system-ui,sans-serif;color:#1c2530;background:#fff;max-width:1080px;margin:auto;padding:16px}
.tidemark{overflow-wrap:anywhere}
.tidemark h1{font-size:20px}.tidemark h2{font-size:16px;margin-top:28px}
.tidemark table{border-collapse:collapse;font-variant-numeric:tabular-nums;color:inherit}
.tidemark .wide{overflow-x:auto}
.tidemark td,.tidemark th{padding:2px 12px 2px 0;text-align:right;border-bottom:1px solid #e4e8ec;white-space:nowrap}
.tidemark td:first-child,.tidemark th:first-child{text-align:left}.tidemark .text td{text-align:left;white-space:normal}
.tidemark svg{width:100%;height:auto;display:block}.tidemark text{font-size:11px;fill:#66717d}
.tidemark .grid{stroke:#e4e8ec}.tidemark polyline{fill:none;stroke-width:1.4}
.tidemark .equity{stroke:#0b63b5}.tidemark .market{stroke:#a0a8b0;stroke-dasharray:4 3}
.tidemark .under{fill:#d8555566;stroke:none}.tidemark .range{fill:#0b63b522;stroke:none}
.tidemark .candle{fill:none;stroke-width:1}.tidemark .up{stroke:#6fb59a}.tidemark .down{stroke:#d6a09a}
.tidemark .trade{stroke-width:2;fill:none}.tidemark path.won{stroke:#08804f}.tidemark path.lost{stroke:#c02626}
.tidemark rect.won{fill:#08804f}.tidemark rect.lost{fill:#c02626}
.tidemark rect.above{fill:#0b63b5}.tidemark rect.below{fill:#c02626}
.tidemark .gain{color:#08804f}.tidemark .loss{color:#c02626}
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, parts: Iterable[str]) -> str:
    """A file of these parts."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f'<body><main class="tidemark">{"".join(parts)}</main></body></html>\n'
    )


def page_of(found: Backtest, title: str, notes: Sequence[str], answer: Why | None = None) -> str:
    """The whole of it. `answer`: why these months."""
    outcome = found.outcome
    parts = [
        f"<h1>{escape(title)}</h1>",
        _curves(outcome),
        "<h2>Figures</h2>",
        _figures(found, FIGURES),
        "<h2>Months</h2>",
        _months(outcome),
        *(() if answer is None else why_parts(answer)),
        *(part for by in KEYS for part in (f"<h2>By {by}</h2>", _groups(outcome, by))),
        "<h2>What trades brought</h2>",
        _distribution(outcome),
        *_charts(found),
        "<h2>Assumed</h2>",
        texts(found.assumed.items()),
        *(("<h2>Notes</h2>", texts(enumerate(notes, 1))) if notes else ()),
        *_counts("Left out", outcome.summary.skipped),
        "<h2>Trades</h2>",
        _trades(outcome.trades, outcome.asset),
    ]
    return document(title, parts)


def part_of(found: Backtest, title: str) -> str:
    """What a notebook shows: the curve, the most telling figures, the months."""
    shown = (
        f"<h1>{escape(title)}</h1>{_curves(found.outcome)}"
        f"{_figures(found, [one for one in FIGURES if one.telling])}{_months(found.outcome)}"
    )
    return f'<style>{_STYLE}</style><div class="tidemark">{shown}</div>'


def _curves(outcome: Outcome) -> str:
    """Equity against the symbols themselves, and how far it was below its highest."""
    curve = outcome.curve
    stretches = thinned(len(curve.close))
    ends = np.array([one.stop - 1 for one in stretches])
    times = curve.closes_at[ends]
    low = np.array([curve.worst[one].min() for one in stretches])
    high = np.array([curve.best[one].max() for one in stretches])
    under = drawdowns(np.append(curve.begun, curve.close), np.append(curve.begun, curve.worst))[1:]
    deepest = -np.array([under[one].max() for one in stretches])
    drawn = [
        Line("range", high, low),
        Line("market", outcome.market(times) * curve.begun),
        Line("equity", curve.close[ends]),
    ]
    return (
        "<h2>Equity, and the symbols themselves (dashed)</h2>"
        + lines(times, drawn, height=300)
        + "<h2>Below its highest</h2>"
        + lines(times, [Line("under", np.zeros(len(times)), deepest)], height=140, unit=" %")
    )


def _figures(found: Backtest, figures: Iterable[Figure]) -> str:
    """The readings beside each other."""
    many = len(found.outcomes) > 1
    head = ("figure", *(str(one.inside) if many else "value" for one in found.outcomes))
    return table(head, [(one.name, *(one.text(each.summary) for each in found.outcomes)) for one in figures])


def _months(outcome: Outcome) -> str:
    rows = [
        (one.month, gain(one.return_pct), share(one.max_drawdown_pct), one.trades, money(one.profit, outcome.asset))
        for one in outcome.months
    ]
    return table(("month", "return", "drawdown", "trades", "profit of trades"), rows)


def _groups(outcome: Outcome, by: Any) -> str:
    asset = outcome.asset
    rows = [
        (
            one.name, one.trades + one.still_open, money(float(one.profit), asset), gain(one.return_pct),
            share(one.won_pct), number(one.profit_factor), money(one.expectancy, asset), money(one.best, asset),
            money(one.worst, asset), hours(one.mean_hours), money(-float(one.fees), asset),
            money(float(one.funding), asset),
        )
        for one in groups_of(outcome.trades, by, outcome.curve.begun)
    ]  # fmt: skip
    head = (
        by, "trades", "profit", "of equity", "won", "profit factor", "a trade brings", "best", "worst", "lasts",
        "fees", "funding",
    )  # fmt: skip
    return table(head, rows)


def _distribution(outcome: Outcome) -> str:
    profits = [float(one.profit) for one in outcome.trades if one.closed_at is not None]
    return histogram(profits, decimals_of_asset(outcome.asset)) if profits else "<p>No trade has ended.</p>"


def _charts(found: Backtest) -> Iterable[str]:
    """Trades on candles, symbol by symbol."""
    of_symbol: dict[str, list[Trade]] = {}
    for one in found.outcome.trades:
        of_symbol.setdefault(one.symbol, []).append(one)
    names = sorted(of_symbol, key=lambda name: (-len(of_symbol[name]), name))
    most = _MOST // max(min(len(names), _CHARTS), 1)
    for name in names[:_CHARTS]:
        yield f"<h2>{escape(name)}</h2>"
        if len(of_symbol[name]) > most:
            yield f"<p>The last {most:,} of {len(of_symbol[name]):,} trades are drawn.</p>"
        yield _chart(found.asked, found.asked.minutes[name], of_symbol[name][-most:])
    if names[_CHARTS:]:
        yield f"<p>Not drawn for want of room: {escape(', '.join(names[_CHARTS:]))}.</p>"


def _chart(asked: Asked, minutes: Minutes, trades: Sequence[Trade]) -> str:
    first, last = max(minutes.at(asked.start), 0), min(minutes.at(asked.end), len(minutes.close))
    stretches = [slice(one.start + first, one.stop + first) for one in thinned(last - first, _CANDLES)]
    tick = float(minutes.tick)
    columns = (
        np.array([minutes.open[one.start] for one in stretches]) * tick,
        np.array([minutes.high[one].max() for one in stretches]) * tick,
        np.array([minutes.low[one].min() for one in stretches]) * tick,
        np.array([minutes.close[one.stop - 1] for one in stretches]) * tick,
    )
    times = np.array([minutes.start + one.start * MINUTE for one in stretches], np.int64)
    return candles(times, columns, [_mark(one, int(times[-1]), columns[3][-1], asked.asset) for one in trades])


def _mark(one: Trade, until: int, price: float, asset: str) -> Mark:
    profit = float(one.profit)
    said = (
        f"{one.side} {one.quantity.normalize():f}, {one.strategy} {one.interval}, {money(profit, asset)} ({one.reason})"
    )
    entry = float(one.entry_price)
    end = price if one.exit_price is None or one.closed_at is None else float(one.exit_price)
    return Mark("won" if profit > 0 else "lost", one.opened_at, entry, one.closed_at or until, end, said)


def _trades(trades: Sequence[Trade], asset: str) -> str:
    head = (
        "opened (UTC)", "closed", "symbol", "side", "strategy", "on", "quantity", "entry", "exit", "profit", "fees",
        "funding", "ended by", "decided by",
    )  # fmt: skip
    rows = [
        (
            _moment(one.opened_at), "" if one.closed_at is None else _moment(one.closed_at), one.symbol, one.side,
            one.strategy, one.interval, f"{one.quantity.normalize():f}", f"{float(one.entry_price):,.8g}",
            "" if one.exit_price is None else f"{float(one.exit_price):,.8g}", money(float(one.profit), asset),
            money(-float(one.fees), asset), money(float(one.funding), asset), one.reason, one.decided_by,
        )
        for one in trades[-_MOST:]
    ]  # fmt: skip
    more = f"<p>The last {_MOST:,} of {len(trades):,}.</p>" if len(trades) > _MOST else ""
    return more + table(head, rows)


def _moment(time: int) -> str:
    return f"{to_datetime(time):%Y-%m-%d %H:%M}"


def _counts(heading: str, counted: Any) -> Iterable[str]:
    if counted:
        yield f"<h2>{heading}</h2>"
        yield texts((f"{count:,}", word) for word, count in counted.items())
