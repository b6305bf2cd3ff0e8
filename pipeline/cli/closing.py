"""What `halt` and `close` say while they work, and of what came of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from pipeline.cli.figures import amount
from pipeline.cli.output import complain as complain_in_red
from pipeline.errors import AttentionError

if TYPE_CHECKING:
    from pipeline.app.closing import Closure, Report


class Spoken:
    """Says it on stderr."""

    def say(self, text: str) -> None:
        """About the answer, not of it."""
        typer.echo(text, err=True)

    def complain(self, text: str) -> None:
        """What went wrong, in red where there is a terminal."""
        complain_in_red(text)


def said(report: "Report", closed: "Sequence[Closure] | None") -> str:
    """How the exchange was found, what was closed, by whom and at which price, and what was left alone."""
    lines = [f"{_flat(report)}; cancelled {len(report.cancelled)} orders from here"]
    if closed is None:
        here = ", ".join(f"{amount(quantity)} {symbol}" for symbol, quantity in report.closed.items())
        lines.append(f"the exchange did not tell what was closed; from here it was: {here or 'nothing'}")
    else:
        lines += [_closed(one) for one in closed] or ["nothing was held that is gone now"]
    lines += [f"{one}: what its strategies held against each other has ended" for one in report.crossed]
    if report.others:
        lines.append(f"left alone, because it is not ours: {', '.join(report.others)}")
    return "\n".join(lines)


def _flat(report: "Report") -> str:
    return "flat, says the exchange" if report.flat else "NOT flat"


def _closed(one: "Closure") -> str:
    price = "a price that the exchange did not tell" if one.price is None else amount(round(one.price, 8))
    by = f", by {' and '.join(one.by)}" if one.by else ""
    return f"closed {one.symbol} {one.side} {amount(one.quantity)} @ {price}{by}"


def require_flat(report: "Report") -> None:
    """Something is left to do: the exit code says so."""
    if not report.flat:
        raise AttentionError(
            f"not everything is closed: {', '.join([*report.left, *report.in_doubt]) or 'nobody knows'}. "
            f"{' '.join(report.problems)} Run this again, or close it at the exchange"
        )
