"""The account snapshot as a Prefect flow: what the account is worth, stored, and as a page a person reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from pipeline.cli.exchange_access import running_exchange
from pipeline.cli.wiring import credentials_of
from pipeline.exchange.reports import PositionReport
from pipeline.exchange.rest import RestClient
from pipeline.exchange.trading import Trading
from pipeline.execution.bookkeeping import Bookkeeper
from pipeline.settings import Settings, load
from pipeline.store.account import AccountStore
from pipeline.store.session import database
from schemas.accounts import Snapshot

MARGIN_ASSET = "USDT"


@flow(name="account", persist_result=False)
def account() -> dict[str, Any] | None:
    """Ask the exchange what the account is worth, and store it. Without keys there is no account to look at."""
    settings = load()
    log = get_run_logger()
    with _asking(settings) as trading:
        if trading is None:
            log.info("no keys are configured, so there is no account to look at")
            return None
        with database(settings) as db:
            books = Bookkeeper(settings.environment, MARGIN_ASSET, trading, AccountStore(db, settings.environment))
            report = trading.account()
            books.day_start(report)
            held = [one for one in trading.positions() if one.position_amt]
            taken = books.snapshot(report, len(held), trading.client.clock.now())
    create_markdown_artifact(
        key="account", markdown=_page(taken, held), description=f"{taken.equity:,.2f} {taken.asset}"
    )
    log.info("%s %s, %d open positions", f"{taken.equity:,.2f}", taken.asset, len(held))
    return taken.model_dump(mode="json")


@contextmanager
def _asking(settings: Settings) -> Iterator[Trading | None]:
    credentials = credentials_of(settings)
    if credentials is None:
        yield None
        return
    with running_exchange(settings) as place, RestClient(place, credentials) as client:
        client.sync_clock()
        yield Trading(client)


def _page(taken: Snapshot, held: list[PositionReport]) -> str:
    today, month = (_percent(one) for one in (taken.day_return_pct, taken.month_return_pct))
    lines = [
        f"# {taken.equity:,.2f} {taken.asset}",
        "",
        f"Today **{today}**, this month **{month}**. Unrealized {taken.unrealized:+,.2f}.",
        "",
        f"Wallet {taken.wallet:,.2f}, available {taken.available:,.2f}. Today: realized {taken.realized_today:+,.2f},",
        f"fees {taken.fees_today:+,.2f}, funding {taken.funding_today:+,.2f}, transfers {taken.transfers_today:+,.2f}.",
    ]
    if held:
        lines += ["", "| position | amount | entry | mark | unrealized |", "| --- | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {one.symbol} | {one.position_amt:f} | {one.entry_price:f} | {one.mark_price:f} "
            f"| {one.un_realized_profit:+,.2f} |"
            for one in held
        ]
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:+.2f} %"
