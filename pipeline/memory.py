"""Memory that was freed goes back to the system. By themselves glibc, and jemalloc in polars, keep it for the process
that had it: after a large piece of work that is hundreds of megabytes of nothing."""

import ctypes
from collections.abc import MutableMapping
from typing import Final

_LEAN: Final = {
    "MALLOC_ARENA_MAX": "2",
    "_RJEM_MALLOC_CONF": "background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0,narenas:2",
}


def be_lean(environment: MutableMapping[str, str]) -> None:
    """Processes that get this environment keep little, and so does this one by what it has not loaded yet. What
    somebody has chosen stays."""
    for name, value in _LEAN.items():
        environment.setdefault(name, value)


def give_back() -> None:
    """Now. Elsewhere than on glibc there is nothing to do."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
