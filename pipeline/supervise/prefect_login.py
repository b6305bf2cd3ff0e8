"""The login that Prefect's pages and its API ask for: made once, kept in a file that only its owner reads.

It never is in a log, an argument of a process or the database.
"""

import secrets
from pathlib import Path
from typing import Final

from pipeline.errors import AttentionError
from pipeline.store.mongod.sharing import close, write_private

USER: Final = "tidemark"


def login_file(home: Path) -> Path:
    """Where it is kept, as one line: `user:password`."""
    return home / "prefect" / "login"


def login_of(home: Path) -> str:
    """The login of the Prefect in this data folder; the first who asks makes it."""
    file = login_file(home)
    try:
        close(file.parent)
        if not file.exists() or not file.stat().st_size:
            write_private(file, f"{USER}:{secrets.token_hex(24)}")
        file.chmod(0o600)
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise AttentionError(
            f"{file} holds the login of Prefect's pages and cannot be kept: {error.strerror or error}. Free space or "
            "correct its owner, or choose another folder with TIDEMARK_HOME."
        ) from error
