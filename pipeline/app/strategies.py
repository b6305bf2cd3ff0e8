"""Which strategies there are, whether one can be trusted, and a new one to begin with. No database needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pipeline.app.candle_file import read_sample
from pipeline.app.wiring import strategies_of
from pipeline.settings import Settings
from pipeline.strategies import check, registry
from pipeline.strategies.base import Strategy, label_of, parameters_of
from pipeline.strategies.check import Examined
from pipeline.strategies.parameters import build
from pipeline.strategies.ranges import searched_of
from pipeline.strategies.template import write as write_new

__all__ = ["Checked", "Examined", "Listed", "checked", "listed", "write_new"]


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
    findings: Sequence[Examined]


def listed(settings: Settings) -> list[Listed]:
    """Those that run by these settings, and then the others, each with the parameters in force."""
    running = {one.name: one for one in strategies_of(settings)}
    idle = {
        name: build(kind, settings.strategy_parameters.get(name, {}))
        for name, kind in registry.all().items()
        if name not in running
    }
    return [_listed(one, runs=one.name in running) for one in (*running.values(), *idle.values())]


def checked(settings: Settings, strategy: str, parameters: Mapping[str, Any], candles: Path | None) -> Checked:
    """A strategy held against made-up markets, and against candles of one's own: with the parameters of the settings,
    and with those given here."""
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
