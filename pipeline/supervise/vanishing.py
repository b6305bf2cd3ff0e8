"""Notices that a data folder was deleted or moved away while it is in use: what runs on would store into nothing, and
fail in ways that do not say why. It interrupts the program as a signal does, and ends nothing by itself."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pipeline.errors import TidemarkError

_LOOKED_AT_EVERY: Final = 0.25


class VanishedError(TidemarkError):
    """The data folder is gone. What it held is lost, unless it was moved."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"the data folder {home} was deleted or moved away while Tidemark ran on it, so everything was ended and "
            "nothing is stored any more. Put it back, or begin anew with an empty one"
        )


class Vanishing:
    """Watches the folder, for the length of a `with` block, by a file in it that this process holds open."""

    def __init__(self, home: Path, held: int, name: str, say: Callable[[str], None]) -> None:
        """`say`: who is told at once; the end takes its seconds."""
        self._file, self._held = home / name, held
        self._home, self._say = home, say
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch-home", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever ended the block: where the folder is gone, that is why."""
        self._leaving.set()
        self._thread.join()
        if kind is not None and self.is_gone():
            raise VanishedError(self._home) from None

    def is_gone(self) -> bool:
        """Whether the file at its place is no more the one that is held open."""
        held = os.fstat(self._held)
        try:
            there = self._file.stat()
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino)

    def _watch(self) -> None:
        while not self._leaving.wait(_LOOKED_AT_EVERY):
            if self.is_gone():
                self._say(f"the data folder {self._home} is gone: everything is ended")
                os.kill(os.getpid(), signal.SIGTERM)
                return
