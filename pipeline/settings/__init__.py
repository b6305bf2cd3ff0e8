"""Every setting, once: defaults, then `tidemark.toml`, then the environment (`TIDEMARK_*`). Reads; never writes.

`load()` is the only way in. A value that cannot be is refused with its name, the value and what is allowed; a name that
does not exist is refused with the nearest that does. Secrets are `SecretStr`, may come from a file (`..._FILE`), and
appear in no message. A manager of secrets is asked for those that are set nowhere.
"""

from pipeline.settings.complaints import OPEN_ENDED, variable_names
from pipeline.settings.groups import Indicators, MarginType, Portfolio, Risk
from pipeline.settings.loading import load
from pipeline.settings.model import PRODUCTION_PHRASE, Settings
from pipeline.settings.secret import IN_FILES, KEYLESS, KEYS, PREFIX, secrets_of, take_keys, without_keys

__all__ = [
    "IN_FILES",
    "KEYLESS",
    "KEYS",
    "OPEN_ENDED",
    "PREFIX",
    "PRODUCTION_PHRASE",
    "Indicators",
    "MarginType",
    "Portfolio",
    "Risk",
    "Settings",
    "load",
    "secrets_of",
    "take_keys",
    "variable_names",
    "without_keys",
]
