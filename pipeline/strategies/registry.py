"""Finds strategies: the shipped ones, those other packages announce, and those in a file of the user's.

A strategy that is not ours is checked before it is handed out (`check.require`), so a wrong one never meets live data.
"""

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from hashlib import blake2b
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from pipeline.strategies.base import Strategy, StrategyError
from pipeline.strategies.bollinger import Bollinger
from pipeline.strategies.form import require_in_form
from pipeline.strategies.ma_breakout import MaBreakout
from pipeline.strategies.ma_order_golden import MaOrderGolden
from pipeline.strategies.macd_cross import MacdCross
from pipeline.strategies.macd_turtle import MacdTurtle
from pipeline.strategies.parameters import build, require_parameters
from pipeline.strategies.rsi_reversal import RsiReversal

ENTRY_POINTS: Final = "tidemark.strategies"
_OWN: Final = "tidemark_user_strategy_"

SHIPPED: Final[dict[str, type[Strategy]]] = {
    kind.name: kind for kind in (MacdCross, MaOrderGolden, MacdTurtle, MaBreakout, Bollinger, RsiReversal)
}


def get(spec: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy of that name, or `path/to/file.py:Name`, with these parameters; a user's own only if it is sound."""
    return make(find(spec), parameters or {})


def make(kind: type[Strategy], parameters: Mapping[str, Any]) -> Strategy:
    """The strategy with these parameters. One of ours is tested; what it says of itself follows from its parameters."""
    strategy = build(kind, parameters)
    if SHIPPED.get(kind.name) is kind:
        require_in_form(strategy)
    else:
        from pipeline.strategies.check import require  # noqa: PLC0415 - slow, and only for those of somebody else

        require(strategy)
    return strategy


def find(spec: str, also: Iterable[str] = ()) -> type[Strategy]:
    """The class behind a name or `path/to/file.py:Name`, not yet checked. Who asks may know more names: `also`."""
    if spec in SHIPPED:
        return SHIPPED[spec]
    if ".py" in spec:
        return _from_file(spec)
    announced = _announced()
    if spec in announced:
        return _loaded(announced[spec])
    known = [*names(), *also]
    near = get_close_matches(spec, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise StrategyError(
        f"there is no strategy {spec!r}.{hint} There are: {', '.join(known)}. "
        "One of your own is written as path/to/file.py:Name"
    )


def names() -> list[str]:
    """The names of the shipped strategies, then of those other packages announce. Loads none of them."""
    return [*SHIPPED, *_announced()]


def all() -> dict[str, type[Strategy]]:  # noqa: A001 - read as registry.all()
    """Every strategy that has a name here: the shipped ones, then those other packages announce."""
    return SHIPPED | {name: _loaded(point) for name, point in _announced().items()}


def _announced() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda each: each.name):
        if point.name in SHIPPED or point.name in found:
            raise StrategyError(f"two strategies are called {point.name!r}: rename the entry point {point.value}")
        found[point.name] = point
    return found


def _loaded(point: EntryPoint) -> type[Strategy]:
    try:
        kind = point.load()
    except Exception as error:
        raise StrategyError(f"strategy {point.name} ({point.value}) cannot be loaded: {error!r}") from error
    strategy = _as_strategy(kind, point.value)
    if strategy.name != point.name:
        raise StrategyError(
            f"the entry point {point.name!r} leads to a strategy called {strategy.name!r}: use one name"
        )
    return strategy


class File(NamedTuple):
    """A file of the user's own as it was read: executed elsewhere, it is the same module there."""

    path: str
    module: str
    source: bytes

    def execute(self) -> ModuleType:
        """Run it as the module that it is. If it fails, the one before it is still there."""
        loader = SourceFileLoader(self.module, self.path)
        module = ModuleType(self.module)
        module.__file__ = self.path
        known = sys.modules.get(self.module)
        sys.modules[self.module] = module  # dataclasses look their module up there
        try:
            exec(loader.source_to_code(self.source, self.path), vars(module))  # noqa: S102 - the user's own program
        except (Exception, SystemExit):
            _put_back(self.module, known)
            raise
        return module


def file_of(kind: type[Strategy]) -> File | None:
    """The file of the user's own that a strategy is from; None of those that can be imported."""
    module = sys.modules[kind.__module__]
    if not module.__name__.startswith(_OWN):
        return None
    path = Path(str(module.__file__))
    source = path.read_bytes() if path.is_file() else b""
    if _named(path, source) != module.__name__:
        raise StrategyError(f"{path} changed since strategy {kind.name} was read: begin again")
    return File(str(path), module.__name__, source)


def path_in(spec: str) -> Path:
    """The file of `path/to/file.py:Name`."""
    return Path(spec.rpartition(":")[0])


def _from_file(spec: str) -> type[Strategy]:
    text, _, name = spec.rpartition(":")
    path = path_in(spec)
    if not text.endswith(".py") or not name:
        raise StrategyError(f"write a strategy of your own as path/to/file.py:Name, not {spec!r}")
    if not path.is_file():
        raise StrategyError(f"strategy {spec}: there is no file {path}")
    module = _execute(path, spec)
    kind = getattr(module, name, None)
    if kind is None:
        there = [each for each, value in vars(module).items() if isinstance(value, type) and hasattr(value, "signals")]
        raise StrategyError(f"strategy {spec}: {path} has no {name!r}; strategies in it: {', '.join(there) or 'none'}")
    strategy = _as_strategy(kind, spec)
    if strategy.name in SHIPPED:
        raise StrategyError(f"strategy {spec} is called {strategy.name!r}, like a shipped one: give it another name")
    return strategy


def _execute(path: Path, spec: str) -> ModuleType:
    """Run the file as a module of its own: one for each content, so that what an earlier one made goes on with its own.
    Never from Python's cache, which takes two contents of one second and length for the same."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"strategy {spec}: {path} cannot be read: {error.strerror}") from error
    try:
        return File(str(path), _named(path, source), source).execute()
    except (Exception, SystemExit) as error:
        raise StrategyError(f"strategy {spec} cannot be loaded: {type(error).__name__}: {error}") from error


def _named(path: Path, source: bytes) -> str:
    content = blake2b(str(path.resolve()).encode() + b"\0" + source, digest_size=8).hexdigest()
    return f"{_OWN}{path.stem}_{content}"


def _put_back(name: str, module: ModuleType | None) -> None:
    if module is None:
        del sys.modules[name]
    else:
        sys.modules[name] = module


def _as_strategy(kind: Any, where: str) -> type[Strategy]:
    if not isinstance(kind, type):
        raise StrategyError(f"strategy {where} must be a class, not {type(kind).__name__}")
    lacks = [part for part in ("name", "needs", "lookback", "signals") if not hasattr(kind, part)]
    if lacks:
        raise StrategyError(f"strategy {where} lacks {', '.join(lacks)}: see docs/strategies.md")
    name = kind.name  # type: ignore[attr-defined]
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise StrategyError(f"strategy {where}: its name must be letters, digits and _, not {name!r}")
    require_parameters(kind)
    strategy: type[Strategy] = kind
    return strategy
