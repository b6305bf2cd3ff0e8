"""The account as a Prefect flow: what it is worth, as a page a person reads.

Flows have no keys, and then the page is of what the executor stored last. Where they are given keys (the setting
`sweep`), the exchange is asked, and the answer stored as the executor would.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.running import leave_word
from pipeline.app.opened import Opened
from pipeline.app.worth import Holding, Snapshot, worth
from pipeline.settings import load


@flow(name="account", persist_result=False, on_completion=[leave_word])
def account() -> dict[str, Any] | None:
    """Show what the account is worth. Without keys and without an executor there is no account to look at."""
    log = get_run_logger()
    with Opened(load()) as tm:
        found = worth(tm, warn=log.warning, by="flow account")
    taken, held = found.taken, found.held
    if taken is None:
        log.info("no executor has stored what the account is worth, so there is nothing to show")
        return None
    create_markdown_artifact(
        key="account", markdown=_page(taken, held), description=f"{taken.equity:,.2f} {taken.asset}"
    )
    log.info("%s %s, %d open positions", f"{taken.equity:,.2f}", taken.asset, len(held))
    return taken.model_dump(mode="json")


def _page(taken: Snapshot, held: Sequence[Holding]) -> str:
    today, month = (_percent(one) for one in (taken.day_return_pct, taken.month_return_pct))
    lines = [
        f"# {taken.equity:,.2f} {taken.asset}",
        "",
        f"As of {taken.at:%Y-%m-%d %H:%M} UTC.",
        f"Today **{today}**, this month **{month}**. Unrealized {taken.unrealized:+,.2f}.",
        "",
        f"Wallet {taken.wallet:,.2f}, available {taken.available:,.2f}. Today: realized {taken.realized_today:+,.2f},",
        f"fees {taken.fees_today:+,.2f}, funding {taken.funding_today:+,.2f}, transfers {taken.transfers_today:+,.2f}.",
    ]
    if held:
        lines += ["", "| position | amount | entry | mark | unrealized |", "| --- | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {one.symbol} | {one.amount:f} | {one.entry:f} | {_known(one.mark, 'f')} "
            f"| {_known(one.unrealized, '+,.2f')} |"
            for one in held
        ]
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:+.2f} %"


def _known(value: Decimal | None, form: str) -> str:
    return "not known" if value is None else f"{value:{form}}"
