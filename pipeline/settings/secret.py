"""Secrets: which settings hold them, where they are kept, and which processes may have them."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.exchange_names import EXCHANGES
from pipeline.secret_managers import is_address, manager

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

PREFIX: Final = "TIDEMARK_"
TABLES: Final = "exchanges"
"""The setting that holds a table for each exchange."""

IN_FILES = ("mongo_uri", "api_key", "api_secret", "notify_urls")
"""Settings that `<name>_file` may hold instead."""

MANAGED = (*IN_FILES, "proxy")
"""Settings that a manager of secrets may hold instead."""

SECRETS = (*IN_FILES, "proxy", "notify_urls")
"""Settings whose value is never shown. `secrets_of` gives the values."""

KEYS = ("api_key", "api_key_file", "api_secret", "api_secret_file", "private_key_file")
"""Settings that hold, or lead to, what it takes to trade."""

KEYLESS = {f"{PREFIX}API_KEY": "", f"{PREFIX}API_SECRET": ""}
"""Variables that say: no keys, wherever they could be had."""


def secrets_of(settings: "Settings") -> list[str]:
    """What must not be read in a log."""
    values = [getattr(settings, name) for name in SECRETS]
    values += [settings.exchanges.of(name).get("proxy") for name in EXCHANGES]
    each = (one for value in values if value for one in (value if isinstance(value, tuple) else (value,)))
    return [secret.get_secret_value() for secret in each]


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for a process that has no business with the account."""
    return {name: value for name, value in environ.items() if not _holds_key(name)}


def take_keys(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The variables that hold keys. There, keys are set to nothing: what is started from now on neither has them nor
    asks a manager of secrets for them."""
    taken = {name: environ.pop(name) for name in list(environ) if _holds_key(name)}
    environ.update(KEYLESS)
    return taken


def _holds_key(variable: str) -> bool:
    name = variable.upper().removeprefix(PREFIX).lower()
    leads_there = name.startswith(f"{TABLES}__") and name.endswith("__keys")
    return variable.upper().startswith(PREFIX) and (name in KEYS or leads_there)


def from_manager(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the manager of secrets has of all that is set nowhere else."""
    variables = {name.upper(): value for name, value in os.environ.items()}
    address = variables.get(f"{PREFIX}SECRETS") or values.get("secrets")
    if not isinstance(address, str) or not is_address(address):
        return {}

    def is_set(name: str) -> bool:
        return bool(variables.get(f"{PREFIX}{name}_FILE".upper()) or {name, f"{name}_file"} & values.keys())

    signs_otherwise = {"api_secret"} if variables.get(f"{PREFIX}PRIVATE_KEY_FILE") else set()
    wanted = [name for name in MANAGED if f"{PREFIX}{name}".upper() not in variables and not is_set(name)]
    asked = manager(address)
    found = {name: asked.secret(name) for name in wanted if name not in signs_otherwise}
    return {name: value for name, value in found.items() if value is not None}


def secret_in(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{name} = {str(path)!r} cannot be read: {error.strerror}") from None
    if not text:
        raise ValueError(f"{name} = {str(path)!r} is empty")
    return text
