"""Which strategies run, and with which parameters: from what the settings say to strategies. Reads no settings itself.

A strategy runs once, with one set of parameters: its name is part of the `_id` of its signals. A table of parameters
for a strategy that does not run is held against it all the same, so that a slip of the pen is found at once.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pipeline.errors import UsageError
from pipeline.strategies import registry
from pipeline.strategies.base import Strategy, StrategyError

SETTING: Final = "strategy_parameters"

Tables = Mapping[str, Mapping[str, Any]]
"""For the name of a strategy, its parameters by name."""


def chosen(names: Iterable[str], files: Iterable[str], tables: Tables) -> list[Strategy]:
    """The strategies of these names, all that have one if there are none, and those in these files."""
    kinds: dict[str, type[Strategy]] = {}
    for spec in dict.fromkeys((*(tuple(names) or registry.names()), *files)):
        kind = registry.find(spec)
        if kind.name in kinds:
            raise StrategyError(f"two strategies are called {kind.name!r}: rename the one in {spec}, or leave it out")
        kinds[kind.name] = kind
    for name in tables.keys() - kinds.keys():
        _with_table(_known(name, kinds), tables, registry.make)
    return [_with_table(kind, tables, registry.make) for kind in kinds.values()]


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
