"""Who may come in, and what for: the link that is used once, the cookie that follows, the word that scripts send.

All three are made from one secret, a file that only its owner reads. So a link that another process prints is known
here, and a cookie outlives a restart. No secret is ever compared by its first difference, written to a log or sent.
"""

import hmac
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from pipeline.errors import AttentionError
from pipeline.store.mongod.sharing import write_private

Role = Literal["read", "trade"]
"""Who may only look, and who may also order."""

ENTRANCE: Final = "/enter"
LINK_LASTS: Final = 300
COOKIE_LASTS: Final = 30 * 86_400
MOST_WRONG: Final = 10
"""So many wrong links a minute are answered one by one."""
_MINUTE: Final = 60.0


class UsedError(Exception):
    """The link was right and was used before."""


class WrongError(Exception):
    """The link is of nobody, or too old."""


class TooOftenError(WrongError):
    """The same, and it is not the first in this minute."""


class Door:
    """Opens to links, cookies and words made from the secret of this folder."""

    def __init__(self, home: Path, now: Callable[[], float] = time.time) -> None:
        self._secret = _secret_of(home)
        self._used = home / "page" / "used"
        self._now = now
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG)

    def code(self, role: Role = "trade") -> str:
        """What a new link carries."""
        return self._made("link", role, LINK_LASTS)

    def enter(self, code: str) -> str:
        """The cookie for whoever brings this code, once."""
        role = self._read("link", code)
        if role is None:
            raise self._wrongly()
        if not self._use(code.split(".")[2]):
            raise UsedError
        return self._made("cookie", role, COOKIE_LASTS)

    def role_of(self, cookie: str | None, word: str | None) -> Role | None:
        """What somebody may who shows these; None: nothing."""
        if word is not None:
            return "trade" if hmac.compare_digest(word.encode(), self._secret.encode()) else None
        return None if cookie is None else self._read("cookie", cookie)

    def _made(self, what: str, role: Role, lasts: int) -> str:
        said = f"{role}.{int(self._now()) + lasts}.{secrets.token_hex(16)}"
        return f"{said}.{self._signature(what, said)}"

    def _read(self, what: str, text: str) -> Role | None:
        said, _, signature = text.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(what, said).encode()):
            return None
        role, until, _ = said.split(".")
        if int(until) < self._now():
            return None
        return "trade" if role == "trade" else "read"

    def _signature(self, what: str, said: str) -> str:
        return hmac.new(self._secret.encode(), f"{what}:{said}".encode(), sha256).hexdigest()

    def _use(self, name: str) -> bool:
        """Whether it is used for the first time: a file of its name says so, to every server of this folder."""
        self._used.mkdir(mode=0o700, exist_ok=True)
        for old in self._used.iterdir():
            if old.stat().st_mtime < self._now() - LINK_LASTS:
                old.unlink(missing_ok=True)
        try:
            (self._used / name).touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _wrongly(self) -> WrongError:
        now = self._now()
        often = len(self._wrong) == MOST_WRONG and now - self._wrong[0] < _MINUTE
        self._wrong.append(now)
        return TooOftenError() if often else WrongError()


def secret_file(home: Path) -> Path:
    """Where the word for scripts is kept, as one line."""
    return home / "page" / "token"


def link(address: str, code: str) -> str:
    """Where a person goes with it."""
    return f"{address}{ENTRANCE}?code={code}"


def address_file(home: Path) -> Path:
    """Where the server of this folder's page says that it answers, while it does."""
    return home / "page" / "address"


@contextmanager
def told(home: Path, address: str) -> Iterator[None]:
    """Tell it for the length of a `with` block, unless another server does by its end."""
    file = address_file(home)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    ours = f"{address} {os.getpid()}\n"
    write_private(file, ours)
    try:
        yield
    finally:
        if file.exists() and file.read_text(encoding="utf-8") == ours:
            file.unlink(missing_ok=True)


def address_of(home: Path) -> str | None:
    """What it says; None where none serves."""
    try:
        return address_file(home).read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError):
        return None


def _secret_of(home: Path) -> str:
    """The secret of the page in this data folder; the first who asks makes it."""
    file = secret_file(home)
    try:
        if not file.exists() or not file.stat().st_size:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(file, secrets.token_urlsafe(32))
        file.chmod(0o600)
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise AttentionError(
            f"{file} holds the secret of the page and cannot be kept: {error.strerror or error}. Free space or correct "
            "its owner, or choose another folder with TIDEMARK_HOME."
        ) from error
