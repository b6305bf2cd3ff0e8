"""What `halt` and `close` say while they work, and of what came of it."""

from typing import TYPE_CHECKING

import typer

from pipeline.cli.output import complain as complain_in_red
from pipeline.errors import AttentionError

if TYPE_CHECKING:
    from pipeline.execution.account.flatten import Report


class Spoken:
    """Says it on stderr."""

    def say(self, text: str) -> None:
        """About the answer, not of it."""
        typer.echo(text, err=True)

    def complain(self, text: str) -> None:
        """What went wrong, in red where there is a terminal."""
        complain_in_red(text)


def said(report: "Report") -> str:
    """What was done from here, and how the exchange was found."""
    closed = ", ".join(f"{quantity} {symbol}" for symbol, quantity in report.closed.items())
    others = f"; left alone, because it is not ours: {', '.join(report.others)}" if report.others else ""
    done = f"Closed from here: {closed or 'nothing'}; cancelled {len(report.cancelled)} orders{others}"
    return f"flat, says the exchange. {done}" if report.flat else f"NOT flat. {done}"


def require_flat(report: "Report") -> None:
    """Something is left to do: the exit code says so."""
    if not report.flat:
        raise AttentionError(
            f"not everything is closed: {', '.join([*report.left, *report.in_doubt]) or 'nobody knows'}. "
            f"{' '.join(report.problems)} Run this again, or close it at the exchange"
        )
