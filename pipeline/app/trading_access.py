"""What commands need that trade, or look at an account: keys, policy, guards, and who gives the order."""

import getpass
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.app.exchange_access import is_folders_own
from pipeline.app.wiring import credentials_of
from pipeline.errors import AttentionError, UsageError
from pipeline.exchange_names import is_production, is_simulated
from pipeline.secret_managers import place
from pipeline.settings import PRODUCTION_PHRASE, Settings

if TYPE_CHECKING:
    from pipeline.exchange.environments import Environment
    from pipeline.exchange.key_rights import KeyRights
    from pipeline.exchange.products.product import Product
    from pipeline.exchange.signing import Credentials
    from pipeline.exchange.trading import Trading
    from pipeline.execution.engine.effects import Notify
    from pipeline.execution.engine.state import Policy
    from pipeline.notify import Notifier

log = logging.getLogger("pipeline.execution")

_KEY_SETTINGS = "TIDEMARK_API_KEY and TIDEMARK_API_SECRET (or their _FILE forms, or TIDEMARK_PRIVATE_KEY_FILE)"
_LOOK_AT_STOPS_EVERY = 5_000
_PATIENCE = 5.0
_LIMIT_PATIENCE_MS = 2_000
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def operator() -> str:
    """Who gives the order, for the audit."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def keys_of(settings: Settings) -> "Credentials":
    """The keys in the settings; on the simulator, without any, those of its ready account. The folder's own exchange
    has no other account, whatever keys are configured for another place."""
    found = None if is_folders_own(settings) else credentials_of(settings)
    if found is not None:
        return found
    if not is_simulated(settings.environment):
        needs = _KEY_SETTINGS if settings.is_first else settings.own("keys")
        manager = f"; {settings.secrets} has no {place(settings.secrets, 'api_key')}" if settings.secrets else ""
        raise UsageError(
            f"an account at {settings.environment} needs {needs}; a key that may only read is enough for signal-only. "
            f"Flows are given them only with TIDEMARK_SWEEP=true{manager}"
        )
    from pipeline.exchange.signing import Credentials, signer_for  # noqa: PLC0415
    from pipeline.simulator.options import READY_KEY, READY_SECRET  # noqa: PLC0415

    return Credentials(READY_KEY, signer_for(READY_SECRET))


def policy_of(settings: Settings, place: "Environment") -> "Policy":
    """How the executor behaves."""
    from pipeline.execution.engine.state import Policy  # noqa: PLC0415

    if settings.portfolio.books and place.is_production:
        log.warning(
            "[portfolio] books: with real money at %s several strategies may hold a symbol, each with its own stop",
            place.name,
        )
    return Policy(
        place.name,
        settings.risk,
        settings.portfolio,
        production=place.is_production,
        taker_fee=settings.taker_fee_percent / 100,
        recv_window=place.recv_window,
        arithmetic=place.product.arithmetic,
        coins=place.product.margin is None,
        look_at_stops_every=None if place.product.streams.tells_algos else _LOOK_AT_STOPS_EVERY,
    )


def may_execute(settings: Settings) -> bool:
    """Whether orders may be sent at all: real money only with the confirmation."""
    return not is_production(settings.environment) or settings.confirm_production == PRODUCTION_PHRASE


def require_confirmation(settings: Settings) -> None:
    """Refuse what would trade real money while nobody has confirmed that it should."""
    if not may_execute(settings):
        raise AttentionError(
            f"this would trade real money at {settings.environment}. If that is what you want, set "
            f'{settings.own("confirm_production")}="{PRODUCTION_PHRASE}" and run it again'
        )


def is_traded(settings: Settings) -> bool:
    """Whether the executor trades that market."""
    return _product(settings).is_traded


def holds_coins(settings: Settings) -> bool:
    """Whether coins are held there, among others in one balance, and no positions."""
    return not _product(settings).arithmetic.is_borrowed


def _product(settings: Settings) -> "Product":
    from pipeline.exchange.environments import environment  # noqa: PLC0415

    return environment(settings.environment).product


def require_traded(settings: Settings) -> None:
    """Refuse what has to do with an account where the executor has none."""
    if not is_traded(settings):
        raise UsageError(
            f"{settings.environment}: Tidemark keeps candles and signals of {_product(settings).title}, and does not "
            "trade them yet; it asks nothing of an account there"
        )


def require_backtested(settings: Settings) -> None:
    """Refuse what would trade the past of a market whose contracts count otherwise than it is done there."""
    product = _product(settings)
    if not product.is_backtested:
        raise UsageError(f"{settings.environment}: Tidemark does not backtest {product.title} yet")


def check_key(settings: Settings, place: "Environment") -> None:
    """Look at what a production key may do, before it trades."""
    from pipeline.exchange.errors import ExchangeError  # noqa: PLC0415
    from pipeline.exchange.key_rights import key_rights  # noqa: PLC0415

    if not place.is_production:
        return
    try:
        rights = key_rights(place, keys_of(settings))
    except ExchangeError as error:
        log.warning("what the API key may do could not be asked for: %s", error)
    else:
        judge_key(rights, place.product)


def judge_key(rights: "KeyRights", product: "Product") -> None:
    """Refuse a key that could lose more than trades, or cannot trade; say so where it works from any address."""
    if rights.enable_withdrawals:
        raise AttentionError("this API key may withdraw money. Make one that may not: trading does not need it")
    if not rights.may_trade(product):
        raise AttentionError(f"this API key may not trade {product.title}. Enable that for it, or make another")
    if not rights.ip_restrict:
        log.warning("this API key is not restricted to your IP addresses: whoever steals it can trade. Restrict it")


@contextmanager
def account_at(settings: Settings, place: "Environment") -> "Iterator[Trading]":
    """The account, for a person who waits: a few tries, no lease."""
    with _trading(settings, place) as trading:
        trading.client.sync_clock()
        yield trading


@contextmanager
def account_in_need(settings: Settings, place: "Environment") -> "Iterator[Trading]":
    """The same for whoever closes what is held: he decides about every try, is told at once where he would have to
    wait, and nothing is asked before the first."""
    from pipeline.exchange.limits import Need  # noqa: PLC0415

    one_try = replace(place, retries=0, read_timeout=_PATIENCE)
    with _trading(settings, one_try, need=Need.PROTECTION, patience_ms=_LIMIT_PATIENCE_MS) as trading:
        yield trading


@contextmanager
def _trading(settings: Settings, place: "Environment", **manners: Any) -> "Iterator[Trading]":
    from pipeline.exchange.rest import RestClient  # noqa: PLC0415
    from pipeline.exchange.trading import Trading  # noqa: PLC0415

    with RestClient(place, keys_of(settings), **manners) as client:
        yield Trading(client)


def tell(note: "Notify") -> None:
    """Say it in the log."""
    log.log(_LEVELS[note.level], "%s: %s", note.title, note.text)


def tell_by(notifier: "Notifier") -> "Callable[[Notify], None]":
    """Say it in the log, and send what a person should know now."""

    def both(note: "Notify") -> None:
        tell(note)
        if note.level != "info":
            notifier.send(note.title, note.text or note.title)

    return both
