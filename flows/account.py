"""The account as a Prefect flow: what it is worth, as a page a person reads.

Flows have no keys, and then the page is of what the executor stored last. Where they are given keys (the setting
`sweep`), the exchange is asked, and the answer stored as the executor would.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.running import at_each, key_of, leave_word
from pipeline.app.opened import Opened
from pipeline.app.worth import Holding, Snapshot, worth
from pipeline.exchange_names import decimals_of_money
from pipeline.settings import Settings


@flow(name="account", persist_result=False, on_completion=[leave_word])
def account() -> list[dict[str, Any]]:
    """Show what the account at each exchange is worth. Without keys and without an executor there is none."""
    return at_each(None, _looked_at)


def _looked_at(settings: Settings) -> list[dict[str, Any]]:
    """At one exchange."""
    log = get_run_logger()
    with Opened(settings) as tm:
        found = worth(tm, warn=log.warning, by="flow account")
    if not found.taken:
        log.info("%s: no executor has stored what the account is worth: there is nothing to show", settings.environment)
        return []
    told = ", ".join(f"{money(one, one.equity)} {one.asset}" for one in found.taken)
    page = "\n\n".join([*map(_of_asset, found.taken), *_holdings(found.held)])
    create_markdown_artifact(key=key_of(settings, "account"), markdown=page, description=told)
    log.info("%s: %s, %d open positions", settings.environment, told, len(found.held))
    return [one.model_dump(mode="json") for one in found.taken]


def money(of: Snapshot, amount: Decimal, sign: str = "") -> str:
    """An amount of what it counts."""
    return f"{amount:{sign},.{decimals_of_money(of.environment)}f}"


def _of_asset(taken: Snapshot) -> str:
    today, month = (_percent(one) for one in (taken.day_return_pct, taken.month_return_pct))
    earned = (taken.realized_today, taken.fees_today, taken.funding_today, taken.transfers_today)
    realized, fees, funding, transfers = (money(taken, one, "+") for one in earned)
    lines = [
        f"# {money(taken, taken.equity)} {taken.asset}",
        "",
        f"As of {taken.at:%Y-%m-%d %H:%M} UTC.",
        f"Today **{today}**, this month **{month}**. Unrealized {money(taken, taken.unrealized, '+')}.",
        "",
        f"Wallet {money(taken, taken.wallet)}, available {money(taken, taken.available)}. Today: realized {realized},",
        f"fees {fees}, funding {funding}, transfers {transfers}.",
    ]
    return "\n".join(lines)


def _holdings(held: Sequence[Holding]) -> Iterator[str]:
    if not held:
        return
    rows = [
        f"| {one.symbol} | {one.amount:f} | {one.entry:f} | {_known(one.mark, 'f')} | {_known(one.unrealized, '+,f')} |"
        for one in held
    ]
    head = ["| position | amount | entry | mark | unrealized |", "| --- | ---: | ---: | ---: | ---: |"]
    yield "\n".join([*head, *rows])


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:+.2f} %"


def _known(value: Decimal | None, form: str) -> str:
    return "not known" if value is None else f"{value:{form}}"
