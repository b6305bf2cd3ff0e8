"""`tidemark backup` and `tidemark restore`: the whole database into a folder, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, print_json

if TYPE_CHECKING:
    from pipeline.app.backup import Manifest, Progress

app = typer.Typer()

Folder = Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="The folder of the backup.")]

BACKUP_EXAMPLES = """
Examples:

  tidemark backup /backups/2026-11-20        run it again after an interruption: it goes on

  tidemark restore /backups/2026-11-20 --check
"""

RESTORE_EXAMPLES = """
Examples:

  tidemark restore /backups/2026-11-20 --check        read every file through, write nothing

  TIDEMARK_DATABASE=copy tidemark restore /backups/2026-11-20

  tidemark restore /backups/2026-11-20 --force        replace what is there
"""


@app.command(epilog=BACKUP_EXAMPLES)
def backup(folder: Folder, as_json: Json = False) -> None:
    """Write the whole database, as of one moment, into an empty folder, while everything goes on running."""
    from pipeline.app.backup import back_up  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(begin()) as tm, _shown(as_json=as_json) as progress:
        manifest = back_up(tm, folder, by=operator(), progress=progress)
    _tell(manifest, folder, "backed up", as_json=as_json)


@app.command(epilog=RESTORE_EXAMPLES)
def restore(
    *,
    folder: Folder,
    check: Annotated[bool, typer.Option("--check", help="Only verify the backup; no database is touched.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace everything that the database holds.")] = False,
    as_json: Json = False,
) -> None:
    """Make the database what the backup holds. Nothing is written before the whole backup has proved sound."""
    from pipeline.app.backup import restore as put_back  # noqa: PLC0415
    from pipeline.app.backup import verify  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    settings = begin()
    with _shown(as_json=as_json) as progress:
        if check:
            _tell(verify(folder, progress), folder, "sound", as_json=as_json)
            return
        manifest = put_back(settings, folder, force=force, by=operator(), progress=progress)
    _tell(manifest, folder, "restored", as_json=as_json)


def _tell(manifest: "Manifest", folder: Path, what: str, *, as_json: bool) -> None:
    size = sum(chunk.size for chunk in manifest.chunks)
    counts = {shape.name: shape.documents for shape in manifest.shapes}
    if as_json:
        print_json(
            {
                "result": what,
                "folder": folder.absolute(),
                "backup": manifest.id,
                "database": manifest.database,
                "started_at": manifest.started_at,
                "finished_at": manifest.finished_at,
                "bytes": size,
                "documents": counts,
            }
        )
        return
    held = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    typer.echo(
        f"{what}: {manifest.documents:,} documents ({held or 'an empty database'}), {size / 1e6:,.1f} MB packed."
    )


@contextmanager
def _shown(*, as_json: bool) -> Iterator["Progress"]:
    """One line on stderr that says how far it is, where a person watches."""
    from rich.console import Console  # noqa: PLC0415

    from pipeline.app.backup import unheard  # noqa: PLC0415

    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        yield unheard
        return
    with console.status("") as line:
        yield lambda collection, documents: line.update(f"{collection}: {documents:,} documents")
