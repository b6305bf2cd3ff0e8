"""The settings in force: `tidemark.toml`, the environment over it, and for secrets set nowhere a manager of them."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import SettingsError

from pipeline.errors import UsageError
from pipeline.settings.complaints import explain, unknown_keys, unknown_variables
from pipeline.settings.exchanges import with_table_names
from pipeline.settings.model import Settings
from pipeline.settings.secret import PREFIX, from_manager

FILE_NAME: Final = "tidemark.toml"
_CURLY = re.compile("[\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb]")


def load(folder: Path | None = None) -> Settings:
    """The settings in force in `folder` (default: the working folder), or `UsageError` that says what to mend."""
    chosen = os.environ.get(f"{PREFIX}CONFIG")
    path = Path(chosen).expanduser() if chosen else (folder or Path.cwd()) / FILE_NAME
    values = _read_toml(path, required=bool(chosen))
    problems = [*unknown_variables(os.environ), *unknown_keys(Settings, values, path)]
    if not problems:
        try:
            return Settings(**values, **from_manager(values)).at()
        except ValidationError as error:
            problems = list(dict.fromkeys(explain(detail, path) for detail in error.errors(include_url=False)))
        except SettingsError as error:
            problems = [f"{error}: not valid JSON"]
    # Outside the handler on purpose: a chained ValidationError still holds what was typed, secrets included.
    raise UsageError("\n".join(problems))


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists():
        if required:
            raise UsageError(f"{PREFIX}CONFIG names {path}, which does not exist; create it or unset the variable")
        return {}
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return with_table_names(tomllib.loads(text))
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:
        reason = _with_setting(text, str(error))
    raise UsageError(f"{path} cannot be read as TOML: {reason}")


def _with_setting(text: str, reason: str) -> str:
    """The reason with its setting (never the value, which may be a secret), and how to mend curly quotes."""
    place = re.search(r"at line (\d+)", reason)
    if place is None:
        return reason
    line = text.splitlines()[int(place[1]) - 1]
    curly = _CURLY.search(line)
    hint = f" Write straight quotes (\" or '), not {curly[0]}" if curly else ""
    return f"{reason}: {line.partition('=')[0].strip()}.{hint}"
