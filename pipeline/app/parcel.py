"""What trials share, as one file that processes map: its columns are read where they lie, and copied by nobody.

The columns are in the file as they are in memory, one behind the other; what is left is a pickle that refers to them.
A file is complete before anybody hears of it, and is never changed.
"""

import copyreg
import fcntl
import io
import mmap
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import IO, Any, Final, NamedTuple

from pipeline.store.mongod.sharing import close

_ALIGNED: Final = 64
_SUFFIX: Final = ".columns"


class Parcel(NamedTuple):
    """`head` is the pickle, `places` where each column begins and how many bytes it has, `size` that of the file."""

    path: Path
    head: bytes
    places: Sequence[tuple[int, int]]
    size: int

    def opened(self, path: Path) -> Any:
        """What was packed, its columns in that file. Who writes into one changes a copy of his own."""
        with path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        return pickle.loads(self.head, buffers=[whole[at : at + length] for at, length in self.places])  # noqa: S301


class _Pickler(pickle.Pickler):
    """Tables that may not be changed are packed too."""

    dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda one: (_unchanging, (dict(one),))}


def _unchanging(table: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(table)


@contextmanager
def packed(what: Any, folder: Path) -> Iterator[Parcel]:
    """In a file in that folder, as long as the block lasts. What killed processes left there is cleared away."""
    columns: list[pickle.PickleBuffer] = []
    head = io.BytesIO()
    _Pickler(head, protocol=5, buffer_callback=columns.append).dump(what)
    places = []
    with _file_in(folder) as file:
        for one in columns:
            raw = one.raw()
            file.seek(-(-file.tell() // _ALIGNED) * _ALIGNED)
            places.append((file.tell(), raw.nbytes))
            file.write(raw)
        file.write(b"\0")
        file.flush()
        yield Parcel(Path(file.name), head.getvalue(), places, file.tell())


def _file_in(folder: Path) -> IO[bytes]:
    """A new one, locked as long as it is open; one process at a time makes one, and clears away what nobody holds."""
    close(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _clear(folder)
        file = NamedTemporaryFile(dir=folder, suffix=_SUFFIX)  # noqa: SIM115 - who asked closes it
        fcntl.flock(file.fileno(), fcntl.LOCK_SH)
        return file


def _clear(folder: Path) -> None:
    """Remove files that no process holds."""
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
