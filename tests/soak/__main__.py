"""`make soak`: half an hour of the demo under mixed faults, and then the accounts.

    python -m tests.soak

`SOAK_MINUTES` for another length, `SOAK_SEED` to repeat a run. Ends with 1, and the reasons, if anything is wrong.
"""

import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.soak import tell
from tests.soak.run import Soak, timed

PATIENCE = 480.0


def main() -> int:
    """Run it, tell how it went, and keep what explains a failure."""
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(1_000_000))
    home = Path(tempfile.mkdtemp(prefix="tidemark-soak-"))
    console = Console()
    console.print(f"{minutes:g} minutes, seed {seed}, in {home}", markup=False, highlight=False)
    with timed(lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)) as say:
        report = Soak(home, seed, minutes * 60, PATIENCE, say).run()
    tell.store(report, home / "soak.json")
    tell.show(report, console)
    for reason in report.reasons:
        console.print(f"wrong: {reason}", markup=False, highlight=False, soft_wrap=True, style="red")
    if not report.reasons:
        for folder in ("mongo", "prefect"):
            shutil.rmtree(home / folder, ignore_errors=True)
    console.print(f"report and logs: {home}", markup=False, highlight=False, soft_wrap=True)
    return 1 if report.reasons else 0


if __name__ == "__main__":
    sys.exit(main())
