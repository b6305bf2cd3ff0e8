"""Who ordered what, and why, of the orders that have no document of their own to keep it: a line in the log.

The switches (mode, halt, trading settings, goal, stage, breakers) keep it with themselves in `control`.
"""

import logging

log = logging.getLogger("pipeline.audit_trail")


def note(order: str, by: str, reason: str | None) -> None:
    """Somebody has ordered this."""
    log.info("%s: ordered by %s%s", order, by, f": {reason}" if reason else "")
