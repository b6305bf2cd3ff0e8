"""Which mongod to run, and what its failures mean. Reads; starts nothing."""

import importlib.util
import re
import shutil
import signal
from pathlib import Path

from pipeline.errors import AttentionError

_PACKAGES = {"libssl": "libssl3", "libcrypto": "libssl3", "libcurl": "libcurl4", "liblzma": "liblzma5"}

ADDRESS_IN_USE = 48
DATA_IN_USE = 100
_NEED_UPGRADE = 62
_OTHER_VERSION = ("UPGRADE PROBLEM", "unsupported WiredTiger file version", "to start up on the existing data files")


def find_mongod() -> Path:
    """The mongod on PATH, else the one that was installed with the package."""
    on_path = shutil.which("mongod")
    found = Path(on_path) if on_path else _packaged()
    if found is None:
        raise AttentionError(
            "no mongod found: none on PATH, none installed with the package. Run `make install` again, install "
            "MongoDB, or set TIDEMARK_MONGO_URI to a server that runs elsewhere."
        )
    return found


def _packaged() -> Path | None:
    # the package is found without importing it: `fiftyone` may be a large program of its own
    spec = importlib.util.find_spec("fiftyone")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(location) / "db" / "bin" / "mongod"
        if binary.is_file():
            return binary
    return None


def lost_the_port(code: int, said: str) -> bool:
    """Whether another server began to listen between this one's bind and its listen: it aborts then."""
    return code == -signal.SIGABRT and "Error listening for new connections" in said and "in use" in said


def explain_refusal(binary: Path, error: OSError) -> str:
    """Why the system would not even run the file, and how to mend it."""
    if isinstance(error, PermissionError):
        return f"{binary} may not be executed. Run `chmod +x {binary}`, or take it off PATH."
    if isinstance(error, FileNotFoundError):
        return f"{binary} is missing, or the loader it names is. Run `make install` again."
    return f"{binary} is no program for this machine ({error.strerror}). Install the MongoDB of this platform."


def explain_exit(binary: Path, code: int, said: str) -> str:
    """Why mongod ended instead of starting, from its exit code and what it printed and logged; and how to mend it."""
    library = re.search(r"error while loading shared libraries: (lib[\w+-]+)[\w.+-]*", said)
    if library:
        name = library.group(1)
        package = _PACKAGES.get(name, name)
        return (
            f"{binary} cannot start because the system library {name} is missing. Install it, on Debian and Ubuntu "
            f"with `sudo apt-get install {package}`."
        )
    if "No space left on device" in said:
        return "the disk of the data folder is full. Free some space, or move the folder with TIDEMARK_HOME."
    if code == _NEED_UPGRADE or any(words in said for words in _OTHER_VERSION):
        return (
            f"the data files were written by another version of MongoDB than {binary}. Put the mongod that wrote "
            "them first on PATH, or begin an empty data folder with TIDEMARK_HOME."
        )
    if code == -signal.SIGILL:
        return (
            f"{binary} needs processor instructions that this machine lacks (AVX). "
            "Put an older mongod on PATH, or set TIDEMARK_MONGO_URI."
        )
    if code == DATA_IN_USE or "Permission denied" in said or "Operation not permitted" in said:
        return (
            "its data folder is used by another mongod, or belongs to another user. End that program or correct the "
            "owner, or choose another folder with TIDEMARK_HOME."
        )
    if code == -signal.SIGKILL:
        return "mongod was killed from outside, perhaps because memory ran out. Free some memory and try again."
    last = said.strip().splitlines()[-1:] or ["nothing"]
    return f"{binary} ended with code {code}. Its last words: {last[0][:300]}"
