"""How compiled code is kept on disk: under a name that its source decides.

What is kept names the classes that it was compiled for. After one of them was renamed, the old file could not even be
read to see that it is old: so another source has another file, and none looks into those before it. Its source is all
the folder: of what it calls, Numba looks at nothing but the file that it stands in.
"""

import inspect
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from numba import njit

_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "_nrt": False}


def whole(rules: Callable[..., Any]) -> Any:
    """Compiled, and kept. It makes no arrays, so that none is counted: that took three quarters of its time."""
    return njit(named_by_source(rules), cache=True, **_OPTIONS)


def part(rules: Callable[..., Any]) -> Any:
    """A part of the whole; no call of it has to be paid for."""
    return njit(rules, forceinline=True, **_OPTIONS)


def named_by_source(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; what is compiled of it is kept by all the text of its folder."""
    function.__qualname__ += f"_{_text_of(Path(inspect.getfile(function)).parent)}"
    return function


@cache
def _text_of(folder: Path) -> str:
    found = sha256()
    for file in sorted(folder.glob("*.py")):
        found.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()[:16]
