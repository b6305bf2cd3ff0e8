"""`tidemark allocate`: how much of the equity each strategy goes by, and what that follows."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import moment
from pipeline.cli.output import Json, print_json, print_table
from pipeline.cli.table import Column
from pipeline.cli.trading import Reason
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.app.allocation import Allocation
    from pipeline.app.opened import Opened
    from pipeline.app.rebalancing import Coming
    from pipeline.app.shares import WorkedOut

app = typer.Typer()

SHARES: Final = (Column("strategy"), Column("% of the equity", 1, right=True))
NEXT: Final = (*SHARES, Column("by the newest", 2, right=True), Column("off by", 3, right=True))

EXAMPLES = """
Examples:

  tidemark allocate                                  what is set, and what would become of it

  tidemark allocate macd_cross=60 rsi_reversal=30    the others open nothing

  tidemark allocate --equal-risk 20261127-101500-3fa2c1

  tidemark allocate --walk-forward mine --walk-forward other --least 5 --most 40

  tidemark allocate --rebalance --band 5             each night, where one is off by more than 5 points

  tidemark allocate --all                            each goes by all of it
"""


@app.command(epilog=EXAMPLES)
def allocate(
    shares: Annotated[list[str] | None, typer.Argument(help="NAME=PERCENT of each strategy that trades.")] = None,
    equal_risk: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Shares by which each strategy of that backtest brings as much unrest."),
    ] = None,
    walk_forward: Annotated[
        list[str] | None,
        typer.Option(metavar="SEARCH", help="Shares by what its choices brought out of sample; one a strategy."),
    ] = None,
    least: Annotated[
        float | None, typer.Option(help="By walk-forward: percent that each has at least; 5 where nothing is said.")
    ] = None,
    most: Annotated[
        float | None, typer.Option(help="By walk-forward: percent that each has at most; 60 where nothing is said.")
    ] = None,
    all_of_it: Annotated[bool, typer.Option("--all", help="Each strategy goes by all of the equity again.")] = False,
    rebalance: Annotated[
        bool | None,
        typer.Option(
            "--rebalance/--no-rebalance", help="Whether the shares follow newer runs, or searches, each night."
        ),
    ] = None,
    band: Annotated[
        float | None,
        typer.Option(help="With --rebalance: points that a share may be off by; 5 where nothing is said."),
    ] = None,
    reason: Reason = None,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """How much of the account's equity each strategy sizes by. What is not named opens nothing; what is held keeps its
    size. A running executor takes it up within a second."""
    from pipeline.app import allocation as ordering  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    orders = bool(shares) + all_of_it + (equal_risk is not None) + bool(walk_forward)
    if orders > 1:
        raise UsageError("name shares, or give --equal-risk, --walk-forward or --all: one of them")
    if (least, most) != (None, None) and not walk_forward:
        raise UsageError("--least and --most are of --walk-forward: name the searches, or leave them out")
    if band is not None and not rebalance:
        raise UsageError("--band is of --rebalance: say that too, or leave it out")
    follows = ordering.BAND if rebalance and band is None else _exact(band)
    wanted, rule = ordering.shares_in(shares or ()), None
    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json, begins=orders > 0) as (tm, _):
        if (found := _worked_out(tm, equal_risk, walk_forward or (), _exact(least), _exact(most))) is not None:
            wanted, rule, reason = dict(found.shares), found.rule, reason or found.why
        if orders:
            ordering.allocate(tm, wanted or None, by=operator(), reason=reason, rule=rule, band=follows)
        elif rebalance is not None:
            ordering.follow(tm, follows, by=operator(), reason=reason)
        _show(tm, as_json=as_json)


def _exact(given: float | None) -> Decimal | None:
    return None if given is None else Decimal(f"{given:g}")


def _worked_out(
    tm: "Opened", run: str | None, searches: "list[str] | tuple[()]", least: Decimal | None, most: Decimal | None
) -> "WorkedOut | None":
    from pipeline.app.shares import by_equal_risk, by_walk_forward  # noqa: PLC0415

    if run is not None:
        return by_equal_risk(tm, run)
    return by_walk_forward(tm, searches, least, most) if searches else None


def _show(tm: "Opened", *, as_json: bool) -> None:
    """What is set, who set it, and what the next rebalancing would do."""
    from pipeline.app.allocation import allocation, in_words  # noqa: PLC0415
    from pipeline.app.rebalancing import coming  # noqa: PLC0415

    found = allocation(tm)
    follows = coming(tm, found)
    if as_json:
        print_json(_told(tm.environment, found, follows))
        return
    typer.echo(f"{tm.environment}: {in_words(found)}")
    if found is not None:
        last = found.changes[-1]
        typer.echo(f"changed {moment(last.at)} UTC by {last.by}{f': {last.reason}' if last.reason else ''}")
        _show_shares(found.shares or {}, follows)


def _show_shares(shares: "Mapping[str, Decimal]", follows: "Coming") -> None:
    if follows.to is None and shares:
        print_table(SHARES, [(name, f"{share:f}") for name, share in shares.items()], follows.words)
    elif follows.to is not None:
        rows = [
            (
                name,
                f"{shares.get(name, 0):f}",
                f"{follows.to.wanted.shares.get(name, 0):f}",
                f"{points:+f}" if points else "0",
            )
            for name, points in follows.to.off_by.items()
        ]
        print_table(NEXT, rows, follows.words)


def _told(environment: str, found: "Allocation | None", follows: "Coming") -> Any:
    told: dict[str, Any] = {"environment": environment, "shares": None, "rule": None, "changed": None, "next": None}
    if found is not None:
        last = found.changes[-1]
        told |= {
            "shares": found.shares,
            "rule": None if found.rule is None else found.rule.model_dump(),
            "changed": {"at": last.at, "by": last.by, "reason": last.reason},
        }
    if follows.to is not None:
        told["next"] = {
            "shares": dict(follows.to.wanted.shares),
            "off_by": dict(follows.to.off_by),
            "due": follows.to.is_due,
            "why": follows.to.wanted.why,
        }
    if follows.refused is not None:
        told["next"] = {"refused": follows.refused}
    return told
