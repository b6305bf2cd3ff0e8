"""The laws of docs/execution.md, as they hold once a schedule is quiet again."""

from collections.abc import Callable

from pipeline.execution.engine.effects import WriteVerdict
from pipeline.execution.engine.state import ENTERING, PositionRecord, SignalView
from pipeline.timeline import SECOND
from tests.execution.drill.faults import SOON
from tests.execution.drill.setting import END, IDENTITY, POLICY, QUIET, RISK, SAID_WITHIN, TOLD_EVERY
from tests.execution.drill.world import World, made_by_others
from tests.execution.model import SYMBOL, ZERO, Placed


def broken_law(schedule: World, position_law: Callable[[World], str | None] | None = None) -> str | None:
    """The first law of docs/execution.md that does not hold now that all is quiet."""
    exchange, journal = schedule.exchange, schedule.journal
    if schedule.wrongs:
        return schedule.wrongs[0]
    ours = [one for one in exchange.orders if IDENTITY.owns(one.client_id)]
    entries = [one for one in journal.orders.values() if one.leg in ENTERING]
    for signal in schedule.signals.values():
        mine = {one.id for one in entries if one.signal == signal.id}
        carried_out = [
            one for one in ours if not one.reduce_only and IDENTITY.is_of(one.client_id, signal.id, signal.kind)
        ]
        closed = [one for one in ours if IDENTITY.is_of(one.client_id, signal.id, "exit")]
        if len(closed) > 1:
            return f"signal {signal.id} has closed twice: {closed}"
        if len(mine) > 1 or len(carried_out) > 1:
            return f"signal {signal.id} has {len(carried_out)} entries at the exchange, {len(mine)} in the journal"
        verdict = journal.verdicts.get(signal.id)
        exits = [one.id for one in journal.orders.values() if (one.signal, one.leg) == (signal.id, "exit")]
        named = verdict.orders if verdict else ()
        known = [one for one in ours if not schedule.before_the_restore(one)]
        done = [one.client_id for one in known if one.client_id in {*mine, *exits}]
        if len(exits) > 1 or not set(done) <= set(named) or len(set(named)) < len(named):
            return f"signal {signal.id} has {done} at the exchange, and the verdict {verdict}"
        if signal.confirmed != (verdict is not None):
            return f"signal {signal.id} (confirmed: {signal.confirmed}) has the verdict {verdict}"
        if mine and not signal.confirmed:
            return f"signal {signal.id} was not confirmed and has an order"
        if unsaid := unsaid_end(schedule, verdict, carried_out):
            return unsaid
        forgotten = all(schedule.before_the_restore(one) for one in carried_out)
        if carried_out and verdict is not None and verdict.verdict != "taken" and not forgotten:
            return f"signal {signal.id} has an entry at the exchange, and the verdict {verdict}"
        if verdict is not None and verdict.verdict == "taken" and not set(verdict.orders) <= set(journal.orders):
            return f"signal {signal.id} is taken, and its order is not in the journal"
    forgetful = schedule.faults.forgetful and not schedule.overtaken
    if forgetful and (
        closed := [one for one in journal.orders.values() if one.leg == "flatten" and one.strategy is None]
    ):
        return f"nothing was wrong but that the exchange forgot for a while, and the position was closed: {closed}"
    if unheeded := late_exit(schedule, but_closing=True):
        return f"held, though its strategy is out since {unheeded}"
    if naked := naked_for_too_long(schedule):
        return naked
    if exchange.naked_by_cancel:
        return f"cancelling {exchange.naked_by_cancel} left a position without a stop"
    doubtful = [one for one in journal.orders.values() if one.in_doubt]
    if doubtful:
        return f"still in doubt: {doubtful}"
    for placed in ours:
        kept = journal.orders.get(placed.client_id)
        closes = placed.algo or placed.reduce_only
        if kept is None and schedule.before_the_restore(placed) and not placed.open:
            continue
        if kept is None and not (closes and schedule.faults.journal_refuses and not placed.open):
            return f"at the exchange and not in the journal: {placed}"
        copies = [one for one in ours if (one.client_id, one.algo) == (placed.client_id, placed.algo)]
        again = len(copies) > 1 or schedule.sent[placed.client_id] > 1
        sent_twice = kept is None or (closes and again and not placed.open and not kept.stands)
        newest = placed is exchange.find(placed.client_id)
        if exchange.said_of(placed) is None and kept is not None and kept.state == "abandoned":
            newest = kept.filled != placed.filled  # that it waits no more is seen; what became of it, nobody says
        endings = {("cancelled", "expired"), ("abandoned", "expired")}
        if schedule.life:
            endings.add(("abandoned", "cancelled"))  # by a process that died before it was journaled
        if schedule.faults.blind and (kept.state, placed.status) in endings:
            newest = kept.filled != placed.filled  # that it rests no more is seen; who ended it, only its id could say
        if schedule.faults.blind and placed.reduce_only and (kept.state, placed.status) == ("expired", "filled"):
            newest = kept.filled != placed.filled  # fills say how much; not that the exchange had cut the order to that
        of_all = sum((one.filled for one in copies), ZERO)  # the journal has one order for all that were sent of it
        filled = of_all if kept is not None and kept.filled == of_all else placed.filled
        if newest and not sent_twice and (kept.state, kept.filled) != (placed.status, filled):
            return f"journal and exchange differ: {kept} {placed}"
    gone = [one.id for one in journal.orders.values() if one.stands and exchange.find(one.id) is None]
    if gone:
        return f"open in the journal, and never at the exchange: {gone}"
    invented = [one for one in journal.orders.values() if one.filled and exchange.find(one.id) is None]
    if invented:
        return f"filled in the journal, and never at the exchange: {invented}"
    return (position_law or broken_position_law)(schedule)


def naked_for_too_long(schedule: World) -> str | None:
    """A position is without a stop for no longer than `unprotected_seconds`, and what a request takes; where one may
    still be on its way from before it was quiet, until that is proven to be gone. It is not closed for the want of a
    stop where asking would have told in time what had become of it."""
    asked = schedule.faults.slow_to_fire
    unseen = schedule.market.policy.look_at_stops_every or 0
    waits = TOLD_EVERY + unseen if asked else POLICY.answer_within + POLICY.surely_gone
    if schedule.naked_for > schedule.policy.risk.unprotected_seconds * SECOND + waits:
        return f"without a stop for {schedule.naked_for} ms"
    tripped = any(one.startswith("unprotected") for one in schedule.journal.breakers)
    if asked and tripped and schedule.faults.fired_for < SOON:
        return f"closed for want of a stop, {schedule.faults.fired_for} ms after the other had fired"
    return None


def unsaid_end(schedule: World, verdict: WriteVerdict | None, entries: list[Placed]) -> str | None:
    """What is not filled of a limit entry is said with its signal."""
    for one in entries:
        known = verdict is not None and verdict.verdict == "taken" and not schedule.before_the_restore(one)
        kept = schedule.journal.orders.get(one.client_id)
        known = known and not (schedule.faults.blind and kept is not None and kept.state == "abandoned")
        said = f"filled {one.filled} of {one.quantity} at {one.price}: "
        if (
            known
            and one.price is not None
            and one.filled < one.quantity
            and not (verdict.reason or "").startswith(said)
        ):
            return f"{one} and nothing is said of it: {verdict}"
    return None


def late_exit(schedule: World, now: int = END + QUIET, *, but_closing: bool = False) -> SignalView | None:
    """The exit that was said last of what is held, and that nobody acted on because it came late. `but_closing`: what
    is to be closed for another reason needs none."""
    position = schedule.journal.positions.get(SYMBOL)
    if position is None or not position.ours:
        return None
    books = position.books or ([position] if position.quantity else [])
    held = [one for one in books if not (but_closing and one.closing)]
    return next((late for one in held if (late := late_exit_of(schedule, one, now))), None)


def late_exit_of(schedule: World, held: PositionRecord, now: int) -> SignalView | None:
    """The same, of what one strategy holds."""
    said = [
        one
        for one in schedule.signals.values()
        if one.confirmed
        and one.at <= now
        and (one.strategy, one.interval) == (held.strategy, held.interval)
        and (one.side == held.side or closes(one, held))
    ]
    newest = max(said, key=lambda one: one.at, default=None)
    verdict = schedule.journal.verdicts.get(newest.id) if newest else None
    return newest if verdict and closes(newest, held) and verdict.verdict == "expired" else None


def closes(signal: SignalView, held: PositionRecord) -> bool:
    """Whether it is an exit, or the other way: a trial closes what is a trial itself."""
    if signal.side == held.side:
        return signal.kind == "exit"
    return signal.kind == "entry" or (signal.kind == "trial" and held.trial)


def held_and_standing(schedule: World) -> tuple[PositionRecord, list[Placed]]:
    """What the journal holds, and what of ours is open at the exchange."""
    held = schedule.journal.positions.get(SYMBOL) or PositionRecord(SYMBOL)
    return held, [one for one in schedule.exchange.open_orders() if IDENTITY.owns(one.client_id)]


def broken_in_any(schedule: World) -> str | None:
    """The law of what is held, whoever's: as much as the exchange has, nothing that is to be closed, and no entry that
    rests after its time."""
    held, standing = held_and_standing(schedule)
    if held.quantity != schedule.exchange.position:
        return f"the journal holds {held.quantity}, the exchange {schedule.exchange.position}"
    if schedule.close_asked is not None:
        return f"to be closed since {schedule.close_asked}, and holding {schedule.exchange.position}"
    resting = [one for one in standing if not one.algo]
    return f"{schedule.exchange.position} held, and an entry rests after its time: {resting}" if resting else None


def broken_position_law(schedule: World) -> str | None:
    exchange, (held, standing) = schedule.exchange, held_and_standing(schedule)
    if broken := broken_in_any(schedule):
        return broken
    if unsaid := badly_said(schedule):
        return unsaid
    if len(schedule.endings) != schedule.ends:
        return f"{schedule.ends} positions have ended, and what was said is {schedule.endings}"
    if not exchange.position:
        if standing:
            return f"flat, and open at the exchange: {standing}"
        being_said = held.as_of > END + QUIET - SAID_WITHIN
        return None if held.signal is None or being_said else f"flat, and not cleared: {held}"
    if held.ours and (theirs := made_by_others(exchange)):
        return f"taken for ours, and made by others: {held} {theirs}"
    if not held.ours and exchange.reopened_by_hand_at:
        return None
    if schedule.halted:
        return f"halted with flatten, and still holding {exchange.position}"
    if held.signal is None and not schedule.faults.by_hand:
        return f"nobody knows the signal of what is held: {held}"
    stops = [one for one in standing if one.kind == "STOP_MARKET"]
    targets = [one for one in standing if one.kind != "STOP_MARKET"]
    if not exchange.protected() or len(stops) != 1 or not stops[0].close_position:
        return f"{exchange.position} held with the stops {stops}"
    if stops[0].trigger != held.stop_price or stops[0].client_id != held.stop_order:
        return f"the stop {stops[0]} is not the journal's: {held}"
    without = schedule.policy.risk.take_profit_atr is None
    found_again = schedule.faults.restored is not None and held.take_profit_price is None
    if [one.trigger for one in targets] != ([] if found_again or without else [held.take_profit_price]):
        return f"the take-profits {targets} are not the journal's: {held}"
    theirs_too = schedule.faults.by_hand or schedule.faults.opened is not None
    if held.closing or (held.units > RISK.max_units and not theirs_too):
        return f"not at rest: {held}"
    return None


def badly_said(schedule: World) -> str | None:
    """That the contract has ended is said once, and said for what it is where the stream told of it at once."""
    if schedule.settled is None or not schedule.settled[1]:
        return None
    at, held = schedule.settled
    said = [note for then, note in schedule.endings if then >= at]
    if len(said) > 1:
        return f"the end of {held} was said {len(said)} times: {said}"
    if at >= END and [one.text for one in said] != ["settled by the exchange: the contract has ended"]:
        return f"{held} was settled in quiet, and what was said is {said}"
    return None
