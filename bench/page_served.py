"""The page's server while it is measured, and what else runs beside it; what a row of its group is."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.table import Row
from bench.tidy import PATIENCE
from pipeline.app.door import secret_file
from schemas.series import SeriesKey

GROUP: Final = "page"
KEY: Final = SeriesKey("sim", "BTCUSDT", "1m")
SAYS: Final = "the page is served: "


@dataclass(frozen=True, slots=True)
class Served:
    """A server of the page, in a process of its own."""

    url: str
    home: Path
    process: psutil.Process

    @property
    def script(self) -> dict[str, str]:
        """What a script sends."""
        return {"authorization": f"Bearer {secret_file(self.home).read_text()}"}

    @property
    def cpu(self) -> float:
        """Seconds of a core so far."""
        spent = self.process.cpu_times()
        return float(spent.user + spent.system)

    @property
    def resident(self) -> float:
        """MB."""
        return float(self.process.memory_info().rss) / 2**20


@contextmanager
def server(environment: dict[str, str], folder: Path) -> Iterator[Served]:
    """`tidemark web`, until the block ends."""
    with running(environment, folder, "web", "--port", "0") as (process, log):
        while (found := re.search(rf"{SAYS}(\S+)", log.read_text())) is None:
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield Served(found[1], folder, psutil.Process(process.pid))


@contextmanager
def running(environment: dict[str, str], folder: Path, *words: str) -> "Iterator[tuple[subprocess.Popen[bytes], Path]]":
    """A command of ours until the block ends, and where it says what. What it is still at then is not waited for: an
    ingester that works out the past of a series takes its time."""
    log = folder / f"{words[0]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *words], env=environment, stdout=out, stderr=out, cwd=folder
        )
    try:
        yield process, log
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()


def environment_of(uri: str, database: str, folder: Path, **more: str) -> dict[str, str]:
    """Of a process over that database, and nothing of whoever measures."""
    mine = {"TIDEMARK_HOME": str(folder), "TIDEMARK_MONGO_URI": uri, "TIDEMARK_DATABASE": database}
    mine |= {"TIDEMARK_SYMBOLS": KEY.symbol, "TIDEMARK_INTERVALS": KEY.interval}
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    return others | mine | more


def row(name: str, ours: float, unit: str, **more: Any) -> Row:
    """Less is better in all of them but frames."""
    return Row(group=GROUP, name=name, ours=ours, unit=unit, **({"lower_is_better": True} | more))
