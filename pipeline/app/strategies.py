"""Which strategies there are, what a search may try of one, whether one can be trusted, and a new one to begin with. No
database needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.app.wiring import strategies_of
from pipeline.errors import UsageError
from pipeline.research.search.space import Space, space_of
from pipeline.settings import Settings
from pipeline.strategies import registry
from pipeline.strategies.base import Strategy, label_of, parameters_of
from pipeline.strategies.parameters import build
from pipeline.strategies.ranges import searched_of
from pipeline.strategies.template import write as write_new

if TYPE_CHECKING:
    from pipeline.strategies.check import Examined

__all__ = ["Checked", "Listed", "checked", "listed", "space_for", "strategies_named", "write_new"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A strategy as the list shows it."""

    name: str
    rule: str
    parameters: dict[str, Any]
    defaults: dict[str, Any]
    searched: dict[str, tuple[Any, ...]]
    runs: bool
    columns: tuple[str, ...]
    lookback: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What each market said of a strategy with these parameters."""

    strategy: str
    sound: bool
    findings: "Sequence[Examined]"


def listed(settings: Settings) -> list[Listed]:
    """Those that run by these settings, and then the others, each with the parameters in force."""
    running = {one.name: one for one in strategies_of(settings)}
    idle = {
        name: build(kind, settings.strategy_parameters.get(name, {}))
        for name, kind in registry.all().items()
        if name not in running
    }
    return [_listed(one, runs=one.name in running) for one in (*running.values(), *idle.values())]


def strategies_named(settings: Settings, names: Sequence[str], parameters: Mapping[str, Any]) -> list[Strategy]:
    """Those named, with the parameters of the settings and those given here; without names those that run."""
    if not names:
        if parameters:
            raise UsageError("--set changes the parameters of one strategy: name it")
        return strategies_of(settings)
    if parameters and len(names) > 1:
        raise UsageError(f"--set changes the parameters of one strategy, and {len(names)} are named")
    own = [one.name for one in strategies_of(settings)]
    found = []
    for name in names:
        kind = registry.find(name, also=own) if name not in own or name in registry.names() else None
        if kind is None:
            found += [one for one in strategies_of(settings) if one.name == name]
            continue
        usual = settings.strategy_parameters.get(kind.name, {})
        found.append(registry.make(kind, {**usual, **parameters}))
    return found


def space_for(settings: Settings, strategy: str, fixed: Mapping[str, Any], named: Sequence[str]) -> Space:
    """The space of a strategy; what is neither fixed nor searched is as the settings have it."""
    (base,) = strategies_named(settings, [strategy], {})
    usual = settings.strategy_parameters.get(base.name, {})
    return space_of(type(base), fixed, named, usual)


def checked(settings: Settings, strategy: str, parameters: Mapping[str, Any], candles: Path | None) -> Checked:
    """A strategy held against made-up markets, and against candles of one's own: with the parameters of the settings,
    and with those given here."""
    from pipeline.app.candle_file import read_sample  # noqa: PLC0415 - slow, as is the check
    from pipeline.strategies import check  # noqa: PLC0415

    kind = registry.find(strategy)
    subject = build(kind, {**settings.strategy_parameters.get(kind.name, {}), **parameters})
    findings = list(check.findings(subject, [read_sample(candles)] if candles else []))
    return Checked(label_of(subject), all(finding.fault is None for finding in findings), findings)


def _listed(strategy: Strategy, *, runs: bool) -> Listed:
    rule = cleandoc(type(strategy).__doc__ or "")
    parameters, defaults = parameters_of(strategy), parameters_of(type(strategy)())
    return Listed(
        strategy.name, rule, parameters, defaults, searched_of(type(strategy)), runs, strategy.needs, strategy.lookback
    )
