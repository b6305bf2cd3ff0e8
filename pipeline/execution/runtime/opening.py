"""The core of a new term: built from the journal that the terms before it have left. Blocks; sends nothing."""

import secrets
from datetime import datetime
from typing import Final

from pipeline.errors import AttentionError
from pipeline.exchange.errors import ExchangeError, KeyProblemError
from pipeline.exchange.trading import Trading
from pipeline.execution.account.understood import require_understood
from pipeline.execution.engine.client_ids import NAME_LENGTH, NAME_LETTERS, Identity, installation_of
from pipeline.execution.engine.effects import Notify
from pipeline.execution.engine.events import Event
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.others import others_in, said
from pipeline.execution.engine.state import BreakerView, PositionRecord
from pipeline.execution.runtime import documents
from pipeline.execution.runtime.context import Context
from pipeline.execution.runtime.desks import open_orders
from pipeline.execution.runtime.inputs import Switches
from pipeline.store.control import ControlStore
from pipeline.timeline import MINUTE, to_datetime
from schemas.orders import Order

ACCOUNT: Final = "account"
"""The breaker that holds while positions are kept in an account that is not understood."""
_LATELY = 10 * MINUTE


def open_core(context: Context, fence: int, switches: Switches) -> tuple[Core, list[Event]]:
    """Take the journal over under that fence; the core that goes on with it, and what is switched differently."""
    stores = context.stores
    _understand(context)
    stores.journal.claim(fence)
    identity = identify(stores.control, context.policy.environment)
    switched = switches.changes(stores.control.read())
    core = Core(
        context.policy,
        context.now(),
        identity=identity,
        mode=switches.mode or context.default_mode,
        orders=[documents.order_record(one) for one in _orders_to_know(context, identity)],
        positions=_positions(context, identity),
        breakers=switches.breakers,
    )
    return core, switched


def _understand(context: Context) -> None:
    """Refuse an account that the executor cannot count in, or that cannot be looked at. Where something of ours is held
    or under way it is not left alone for that: it is protected and closed, and nothing is opened until the next term
    finds the account in order."""
    control, now = context.stores.control, to_datetime(context.now())
    try:
        require_understood(context.asking, context.books.asset)
    except KeyProblemError:
        raise
    except (AttentionError, ExchangeError) as error:
        if not _has_something(context):
            raise
        breaker = BreakerView(ACCOUNT, str(error), context.now())
        control.trip(documents.breaker_document(breaker, context.policy.environment))
        context.notify(
            Notify("error", f"breaker {ACCOUNT}", f"{error}. Nothing is opened until a term finds it in order")
        )
    else:
        control.reset(ACCOUNT, now=now, reason="the account is understood again")


def _has_something(context: Context) -> bool:
    held = any(one.ours and (one.quantity or one.books) for one in context.stores.positions.list())
    return held or bool(context.stores.journal.unsettled())


def identify(control: ControlStore, environment: str) -> Identity:
    """Who we are. A database that does not know it yet gets a name."""
    name = "".join(secrets.choice(NAME_LETTERS) for _ in range(NAME_LENGTH))
    return documents.identity_of(control.identify(name), environment)


def take_over(control: ControlStore, environment: str, asking: Trading, *, by: str, now: datetime) -> str:
    """From now on, the orders of the other installations on the account are ours; what they are, or nothing."""
    others = others_in(identify(control, environment), open_orders(asking))
    for name in others:
        control.take_over(name, by=by, now=now, reason=said({name: others[name]}))
    return said(others)


def _positions(context: Context, identity: Identity) -> list[PositionRecord]:
    """Those of the journal. What it has of another installation is known, and not ours."""
    stored = context.stores.positions.list()
    theirs = {one.id: documents.disowned(one) for one in stored if one.ours and not identity.keeps(one.installation)}
    changed = [documents.position_document(one, identity, context.now(), None) for one in theirs.values()]
    context.stores.positions.save(changed)
    return [theirs.get(one.id) or documents.position_record(one) for one in stored]


def _orders_to_know(context: Context, identity: Identity) -> list[Order]:
    """Ours that are unsettled; those that coins of ours were bought and sold with; what was done about signals whose
    verdict was not written any more; and what is settled since so short a time that its trades could be taken for those
    of an order in doubt, or that the exchange may yet show an order that it had forgotten."""
    stores = context.stores
    undecided = [one.id for one in stores.signals.undecided()]
    lately = to_datetime(context.now() - _LATELY)
    parts = [name for one in stores.positions.list() for name in one.parts]
    journal = stores.journal
    found = (
        *journal.unsettled(), *journal.named(parts), *journal.of_signals(undecided), *journal.settled_since(lately),
    )  # fmt: skip
    return [one for one in {one.id: one for one in found}.values() if identity.keeps(installation_of(one.id))]
