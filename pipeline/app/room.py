"""How much memory is free where this process runs."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

GROUP: Final = Path("/sys/fs/cgroup")
"""What bounds a container says there what it may have."""


def free_bytes(group: Path = GROUP) -> int:
    """Of the machine, or of the container that it is in, where that has less."""
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, or one that is not bounded
        most, held = (int((group / f"memory.{one}").read_text()) for one in ("max", "current"))
        lines = (group / "memory.stat").read_text().splitlines()
        spare = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        free = min(free, most - held + spare)
    return free
