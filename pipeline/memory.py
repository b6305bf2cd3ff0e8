"""Memory that was freed goes back to the system. By itself glibc keeps it for the process that had it: after a large
piece of work that is hundreds of megabytes of nothing."""

import ctypes


def give_back() -> None:
    """Now. Elsewhere than on glibc there is nothing to do."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
