"""Strategies in files of the user's that change while they run: read anew, and taken up only where all are sound.

A file is looked at often and read only where something of it changed; what its content says is tried once. Files that
it imports, and the settings, are not looked at. Whatever is wrong with the new one is said once, and the old one goes
on: it was loaded, and needs its file no more.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from pipeline.errors import TidemarkError
from pipeline.strategies.base import Strategy, StrategyError, edition_of, label_of, parameters_of
from pipeline.strategies.registry import path_in

log = logging.getLogger(__name__)

LOADED_WITHIN: Final = 60.0
"""Seconds. A file is a program, and may never end."""

_Stamp = tuple[int, int, int] | None


class Renewal:
    """What runs, and the files that it may come from."""

    def __init__(
        self, specs: Iterable[str], load: Callable[[], Sequence[Strategy]], *, within: float = LOADED_WITHIN
    ) -> None:
        """`load` gives all that run, as their files say by then."""
        self._paths = tuple(dict.fromkeys(path_in(spec) for spec in specs))
        self._load = load
        self._within = within
        self._seen = self._tried = {path: _stamp(path) for path in self._paths}
        self._contents = {path: _content(path) for path in self._paths}
        self.running = tuple(load())
        """What runs."""

    def look(self) -> Sequence[Strategy] | None:
        """All that run from now on, where a file has changed and all are sound; None where everything stays. A change
        is tried when it has lain still from one look to the next: nobody reads a file that is half written."""
        stamps = {path: _stamp(path) for path in self._paths}
        is_still, self._seen = stamps == self._seen, stamps
        if not is_still or stamps == self._tried:
            return None
        self._tried = stamps
        contents = {path: _content(path) for path in self._paths}
        changed = [str(path) for path in self._paths if contents[path] != self._contents[path]]
        if not changed:
            return None
        self._contents = contents
        return self._taken_up(", ".join(changed))

    def _taken_up(self, changed: str) -> Sequence[Strategy] | None:
        try:
            found = self._loaded()
        except TidemarkError as error:
            log.error("%s changed and is not taken up: %s. What ran before goes on", changed, error)
            return None
        before, self.running = self.running, tuple(found)
        log.info("%s changed and is taken up from the next candle on; running: %s", changed, _labels(found))
        _say_of_the_past(before, found)
        return found

    def _loaded(self) -> Sequence[Strategy]:
        """Loaded in a thread that keeps nobody from leaving, should it never end."""
        found: list[Sequence[Strategy]] = []
        failed: list[TidemarkError] = []

        def load() -> None:
            try:
                found.append(self._load())
            except TidemarkError as error:
                failed.append(error)
            except Exception as error:  # noqa: BLE001 - whatever a program of the user's does, what runs goes on
                failed.append(StrategyError(f"{type(error).__name__}: {error}"))

        thread = threading.Thread(target=load, name="strategies", daemon=True)
        thread.start()
        thread.join(self._within)
        if failed:
            raise failed[0]
        if not found:
            raise TidemarkError(f"it did not load within {self._within:.0f} s")
        return found[0]


def _say_of_the_past(before: Sequence[Strategy], after: Sequence[Strategy]) -> None:
    """What becomes of the stored signals. A rule that says of itself that it is what it was keeps them."""
    old, new = ({one.name: one for one in some} for some in (before, after))
    same = [name for name in new if name in old and _recipe(new[name]) == _recipe(old[name])]
    rewritten = [name for name in same if type(new[name]).__module__ != type(old[name]).__module__]
    other = [name for name in {**new, **old} if name not in same]
    if rewritten:
        log.info(
            "%s: signals that are stored stay as they are. If the rule is another, count up its `edition`: they are "
            "withdrawn then, and found anew",
            ", ".join(rewritten),
        )
    if other:
        log.info(
            "%s: the next `tidemark indicators` (the schedule does it too) finds the signals of the past anew and "
            "withdraws those that it does not find",
            ", ".join(other),
        )


def _recipe(strategy: Strategy) -> object:
    """What a stored signal is held against."""
    return parameters_of(strategy), edition_of(strategy)


def _labels(strategies: Sequence[Strategy]) -> str:
    return ", ".join(map(label_of, strategies))


def _stamp(path: Path) -> _Stamp:
    """What changes when a file is written, without reading it; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: Path) -> bytes | None:
    try:
        return blake2b(path.read_bytes()).digest()
    except OSError:
        return None
