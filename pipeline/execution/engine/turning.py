"""A signal that turns a position has two orders, a close and then an opening, and one verdict for both. Pure."""

from dataclasses import replace

from pipeline.execution.engine.effects import WriteVerdict
from pipeline.execution.engine.state import DecisionView, OrderRecord


def with_close(
    verdict: WriteVerdict, close: OrderRecord, decision: DecisionView | None, *, closing: bool
) -> WriteVerdict:
    """The verdict on the opening, and the close that went before it; `decision` is what that one rested on. What was
    closed is taken, whatever became of the opening; so is what is still `closing`."""
    both = replace(verdict, orders=(close.id, *verdict.orders))
    if verdict.verdict == "taken":
        return both
    if close.attempts:
        done = "to be closed" if closing else "closed"
        return replace(both, verdict="taken", reason=f"{done}, and not turned: {verdict.reason}", decision=decision)
    return replace(both, verdict="skipped", decision=verdict.decision or decision)
