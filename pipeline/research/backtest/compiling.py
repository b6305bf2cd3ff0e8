"""How compiled code is kept on disk: under a name that its source decides.

What is kept names the classes that it was compiled for. After one of them was renamed, the old file could not even be
read to see that it is old: so another source has another file, and none looks into those before it.
"""

import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import Any


def named_by_source(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; what is compiled of it is kept by all the text of its file."""
    source = inspect.getsource(inspect.getmodule(function) or function)
    function.__qualname__ += f"_{sha256(source.encode()).hexdigest()[:16]}"
    return function
