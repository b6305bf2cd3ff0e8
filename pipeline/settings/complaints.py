"""What is wrong with settings, in words that name the setting, the value and what is allowed or meant."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from pipeline.settings.groups import Group
from pipeline.settings.model import Settings
from pipeline.settings.secret import PREFIX, SECRETS, TABLES

OPEN_ENDED = (f"{PREFIX}STRATEGY_PARAMETERS__", f"{PREFIX}STRATEGIES__")
"""Variables whose names go on as strategies say: `..._PARAMETERS__MA_BREAKOUT__N`. Who makes strategies checks them."""


def variable_names(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    for name in model.model_fields:
        yield f"{prefix}{name.upper()}"
        group = _group(model, name)
        if group:
            yield from variable_names(group, f"{prefix}{name.upper()}__")


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = [f"{PREFIX}CONFIG", *variable_names()]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name.upper() not in known and not name.upper().startswith(OPEN_ENDED):
            near = get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known], n=1)
            listed = [each for each in known if not each.startswith(f"{PREFIX}{TABLES.upper()}__")]
            hint = f"Did you mean {PREFIX}{near[0]}?" if near else f"Allowed: {', '.join(listed)}."
            yield f"{name} is not a setting. {hint}"


def unknown_keys(model: type[BaseModel], values: Mapping[str, Any], path: Path, prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if name not in model.model_fields:
            yield f"{prefix}{name} in {path} is not a setting.{_did_you_mean(name, list(model.model_fields))}"
            continue
        group = _group(model, name)
        if group and isinstance(value, dict):
            yield from unknown_keys(group, value, path, f"{prefix}{name}.")


def _did_you_mean(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]}?" if near else f" Allowed: {', '.join(known)}."


def explain(detail: ErrorDetails, path: Path) -> str:
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    places = [str(part) for part in detail["loc"] if isinstance(part, str)]
    known = {_dotted(variable): variable for variable in variable_names()}
    if detail["type"] == "extra_forbidden":
        return f"{'.'.join(places)} is not a setting.{_did_you_mean('.'.join(places), list(known))}"
    name = next((name for end in (3, 2, 1) if (name := ".".join(places[:end])) in known), None)
    if name is None:
        return message
    if "." not in name and _group(Settings, name):
        return f"{name}: {message}"
    variable = known[name]
    where = variable if variable in os.environ else f"{name} in {path}"
    shown = "" if name.rpartition(".")[2] in SECRETS else f" = {os.environ.get(variable, detail['input'])!r}"
    return f"{where}{shown}: {message}"


def _dotted(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("__", ".")


def _group(model: type[BaseModel], name: str) -> type[Group] | None:
    annotation = model.model_fields[name].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Group) else None
