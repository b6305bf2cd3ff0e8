"""Why these months, in a report: what was different about the market, and what trades brought by month. Pure."""

from collections.abc import Iterable
from html import escape

from pipeline.research.report.tables import table, texts
from pipeline.research.report.words import gain
from pipeline.research.why.answer import MonthTold, Why
from pipeline.research.why.market import CONDITIONS, Found
from pipeline.research.why.matrix import BY, By, Cell


def why_parts(found: Why) -> Iterable[str]:
    """Section by section."""
    yield f"<h2>Why these months</h2><p>{escape(found.verdict)}.</p>"
    yield texts((one.month, one.because) for one in found.months)
    yield "<p>In brackets: higher than in how many of all stretches as long.</p>"
    head = ("month", "return", "nine of ten", "trades", *(one.name for one in CONDITIONS))
    yield table(head, (_month(one) for one in found.months))
    for by in BY:
        yield f"<h2>Months by {by}</h2>"
        yield _pivot(found, by)
    yield (
        "<p>Of what the account began the month with, and of how many trades. A star: clearly above or below nothing, "
        f"which {found.judged / 10:.0f} of {found.judged} cells would be by chance.</p>"
    )


def _month(one: MonthTold) -> tuple[str, ...]:
    return (
        one.month,
        gain(one.return_pct),
        _between(one.low_pct, one.high_pct),
        str(one.trades),
        *map(_condition, one.conditions),
    )


def _condition(one: Found) -> str:
    return one.text if one.higher_than is None else f"{one.text} ({one.higher_than * 100:.0f} %)"


def _pivot(found: Why, by: By) -> str:
    """Names down, months across."""
    cells = {(one.name, one.month): one for one in found.cells if one.by == by}
    months = [one.month for one in found.months]
    names = sorted({name for name, _ in cells})
    return table((by, *months), ((name, *(_cell(cells.get((name, month))) for month in months)) for name in names))


def _cell(one: Cell | None) -> str:
    if one is None:
        return ""
    return f"{gain(one.return_pct)} ({one.trades})" + (" *" if one.is_clear else "")


def _between(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f} %"
