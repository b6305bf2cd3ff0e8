"""Which strategies run, and with which parameters: from what the settings say to strategies. Reads no settings itself.

A strategy runs once, with one set of parameters: its name is part of the `_id` of its signals. A table of parameters
for a strategy that does not run is held against it all the same, so that a slip of the pen is found at once.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from pipeline.errors import UsageError
from pipeline.strategies import registry
from pipeline.strategies.base import Strategy, StrategyError

SETTING: Final = "strategy_parameters"

Tables = Mapping[str, Mapping[str, Any]]
"""For the name of a strategy, its parameters by name."""


Intervals = Mapping[str, Collection[str]]
"""For the name of a strategy, the lengths of candles it runs on. One that is not named runs on all."""


def on_interval(strategies: Iterable[Strategy], intervals: Intervals, code: str) -> tuple[Strategy, ...]:
    """Those of them that run on candles of this length."""
    return tuple(one for one in strategies if code in intervals.get(one.name, (code,)))


def chosen(names: Iterable[str], files: Iterable[str], tables: Tables) -> list[Strategy]:
    """The strategies of these names and those in these files; all that are shipped or announced if neither is given.

    What a file calls itself is a name like any other: who names it too gets it once, at that place.
    """
    files = tuple(dict.fromkeys(files))
    own = _own(files)
    wanted = [name for name in dict.fromkeys(names) if name not in files]
    kinds: dict[str, type[Strategy]] = {}
    for spec in wanted or (() if own else registry.names()):
        kind = own[spec] if spec in own else registry.find(spec, also=own)
        if kind.name in kinds or own.get(kind.name, kind) is not kind:
            raise _twice(kind.name, spec)
        kinds[kind.name] = kind
    kinds |= own
    for name in tables.keys() - kinds.keys():
        _with_table(_known(name, kinds), tables, registry.make)
    return [_with_table(kind, tables, registry.make) for kind in kinds.values()]


def _own(files: Sequence[str]) -> dict[str, type[Strategy]]:
    """The strategies in these files, by the names they give themselves."""
    own: dict[str, type[Strategy]] = {}
    for spec in files:
        kind = registry.find(spec)
        if kind.name in own or kind.name in registry.names():
            raise _twice(kind.name, spec)
        own[kind.name] = kind
    return own


def _twice(name: str, spec: str) -> StrategyError:
    return StrategyError(f"two strategies are called {name!r}: rename the one in {spec}, or leave it out")


def _known(name: str, kinds: Mapping[str, type[Strategy]]) -> type[Strategy]:
    names = list(dict.fromkeys((*registry.names(), *kinds)))
    if name in names:
        return registry.find(name)
    near = get_close_matches(name, names, n=1)
    hint = f" Did you mean {SETTING}.{near[0]}?" if near else ""
    raise StrategyError(f"{SETTING}.{name}: there is no strategy {name!r}.{hint} There are: {', '.join(names)}")


def _with_table(
    kind: type[Strategy], tables: Tables, make: Callable[[type[Strategy], Mapping[str, Any]], Strategy]
) -> Strategy:
    table = tables.get(kind.name, {})
    try:
        return make(kind, table)
    except UsageError as error:
        if not table:
            raise
        raise StrategyError(f"{SETTING}.{kind.name}: {error}") from error
