"""The account as a Prefect flow: what it is worth, as a page a person reads.

Flows have no keys, and then the page is of what the executor stored last. Where they are given keys (the setting
`sweep`), the exchange is asked, and the answer stored as the executor would.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pymongo.database import Database

from flows.running import leave_word
from pipeline.app.exchange_access import running_exchange
from pipeline.app.wiring import credentials_of
from pipeline.errors import TidemarkError
from pipeline.exchange.market import Market
from pipeline.exchange.rest import RestClient
from pipeline.exchange.trading import Trading
from pipeline.execution.account.books import Bookkeeper
from pipeline.execution.account.fees import Rates
from pipeline.settings import Settings, load
from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.mongod.session import database
from schemas.accounts import Snapshot

MARGIN_ASSET = "USDT"


class Held(NamedTuple):
    """A position, as far as the page shows it."""

    symbol: str
    amount: Decimal
    entry: Decimal
    mark: Decimal | None
    unrealized: Decimal | None


@flow(name="account", persist_result=False, on_completion=[leave_word])
def account() -> dict[str, Any] | None:
    """Show what the account is worth. Without keys and without an executor there is no account to look at."""
    settings = load()
    log = get_run_logger()
    with database(settings) as db, _asking(settings) as trading:
        taken, held = _stored(settings, db) if trading is None else _asked(settings, db, trading)
    if taken is None:
        log.info("no executor has stored what the account is worth, so there is nothing to show")
        return None
    create_markdown_artifact(
        key="account", markdown=_page(taken, held), description=f"{taken.equity:,.2f} {taken.asset}"
    )
    log.info("%s %s, %d open positions", f"{taken.equity:,.2f}", taken.asset, len(held))
    return taken.model_dump(mode="json")


def _stored(settings: Settings, db: Database[dict[str, Any]]) -> tuple[Snapshot | None, list[Held]]:
    positions = PositionStore(db, settings.environment).list()
    held = [
        Held(one.symbol, one.quantity, one.entry_price, one.mark_price, one.unrealized)
        for one in positions
        if one.quantity
    ]
    return AccountStore(db, settings.environment).latest(), held


def _asked(settings: Settings, db: Database[dict[str, Any]], trading: Trading) -> tuple[Snapshot, list[Held]]:
    books = Bookkeeper(
        settings.environment,
        MARGIN_ASSET,
        trading,
        AccountStore(db, settings.environment),
        Rates(Market(trading.client), MARGIN_ASSET),
        get_run_logger().warning,
    )
    asof = trading.client.clock.now()
    report = trading.account()
    books.day_start(report, asof)
    held = [
        Held(one.symbol, one.position_amt, one.entry_price, one.mark_price, one.un_realized_profit)
        for one in trading.positions()
        if one.position_amt
    ]
    taken = books.snapshot(report, len(held), asof)
    if taken is None:
        raise TidemarkError("what the day began with could not be read, the log says why: run it again")
    return taken, held


@contextmanager
def _asking(settings: Settings) -> Iterator[Trading | None]:
    credentials = credentials_of(settings)
    if credentials is None:
        yield None
        return
    with running_exchange(settings) as place, RestClient(place, credentials) as client:
        client.sync_clock()
        yield Trading(client)


def _page(taken: Snapshot, held: Sequence[Held]) -> str:
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
