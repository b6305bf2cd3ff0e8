"""A run of the exact engine as it would stand in the store if it had been live: its journal and its signals, to be
explained by another run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.execution.runtime import documents
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.record import Record
from pipeline.research.explain.answer import Row, rows_of
from pipeline.research.explain.each_own import each_own
from pipeline.research.explain.heard import Decided, Heard, Judged, Stored
from pipeline.research.explain.live import Known, deals
from pipeline.research.explain.paper import paper_of, price_at
from pipeline.simulator.spot.ledger import Fill as CoinFill
from pipeline.simulator.venue.ledger import Fill
from pipeline.timeline import to_datetime
from schemas.orders import Order, Transition


def journal_of(record: Record) -> list[Order]:
    """Its orders, as the executor writes them down."""
    filled: dict[str, int] = {}
    for entry in record.ledger:
        if isinstance(entry, Fill | CoinFill):
            filled.setdefault(entry.client_id, entry.time)
    made = []
    for one in record.orders.values():
        why, asked_at = record.why.get(one.id), to_datetime(one.created_at)
        steps = [Transition(state="intended", at=asked_at, by="executor", detail=why)]
        if one.id in filled:
            steps.append(Transition(state="filled", at=to_datetime(filled[one.id]), by="stream"))
        made.append(documents.order_document(one, "sim", 1).model_copy(update={"history": steps}))
    return made


def heard_of(asked: Asked, record: Record) -> dict[str, Heard]:
    """Its signals, with its verdicts as those of live."""
    found = {}
    for one in asked.signals:
        verdict = record.verdicts.get(one.id)
        view = None if verdict is None else verdict.decision
        decided = None if view is None else Decided(view.at, view.quantity, view.notional, view.equity, view.bound)
        live = Judged("fresh") if verdict is None else Judged(verdict.verdict, verdict.reason, None, decided)
        found[one.id] = Heard(
            id=one.id, symbol=one.symbol, interval=one.interval, strategy=one.strategy, kind=one.kind, side=one.side,
            at=one.at, price=one.price, live=live,
        )  # fmt: skip
    return found


def explained(live: Asked, paper: Asked, **stored: Any) -> tuple[list[Row], Mapping[str, Heard]]:
    """What was live, by what is on paper."""
    record = ExactRun(live).run()
    return by_paper(journal_of(record), heard_of(live, record), live, paper, **stored)


def _own(orders: Sequence[Order], live: Asked, name: str) -> list[Sequence[Order]]:
    return list(each_own(orders, live.instruments[name]).values()) if live.policy.books else [orders]


def by_paper(
    orders: Sequence[Order], heard: dict[str, Heard], live: Asked, paper: Asked, **stored: Any
) -> tuple[list[Row], Mapping[str, Heard]]:
    """The same of a journal that the test has made."""
    told = paper_of(ExactRun(paper).run(), paper, heard)
    heard = {name: replace(one, paper=told.verdicts.get(name)) for name, one in heard.items()}
    by_signal: dict[str, list[Order]] = {}
    for one in orders:
        by_signal.setdefault(one.signal or "", []).append(one)
    traded = [
        deal
        for name, one in live.instruments.items()
        for own in _own([each for each in orders if each.symbol == name], live, name)
        for deal in deals(
            own,
            heard,
            Known(one, partial(price_at, live, name), live.funding.get(name, ()), live.end),
        )
    ]
    return rows_of(traded, told.deals, live.instruments, Stored(heard, by_signal, **stored)), heard
