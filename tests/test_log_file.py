"""Log files do not grow without end, and no line is lost while several processes write one."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from pipeline import log_file
from pipeline.app import audit_trail

LIMIT = 300
WRITERS = 4
LINES = 1_500


def test_the_older_half_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    for word in ("first " * 4, "second", "third"):
        log_file.append(path, word, limit=20)
    assert (tmp_path / "one.log.1").read_text() == "first " * 4 + "\n"
    assert path.read_text() == "second\nthird\n"


def test_what_is_not_too_long_stays(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    log_file.put_aside(path, limit=3)
    path.write_text("abc")
    log_file.put_aside(path, limit=3)
    assert [one.name for one in tmp_path.iterdir()] == ["one.log"]


def write(path: Path, number: int) -> None:
    for line in range(LINES):
        log_file.append(path, f"{number} {line} {'x' * 20}", limit=LIMIT)


def test_several_processes_put_it_aside_once_each_time(tmp_path: Path) -> None:
    """Where two find it too long, the second leaves the new one where it is: what is put aside was too long."""
    path = tmp_path / "one.log"
    shorter = []
    with ProcessPoolExecutor(WRITERS, get_context("spawn")) as pool:
        running = [pool.submit(write, path, number) for number in range(WRITERS)]
        while not all(one.done() for one in running):
            aside = tmp_path / "one.log.1"
            if aside.exists():
                shorter.append(aside.stat().st_size)
        for one in running:
            one.result()
    assert shorter
    assert min(shorter) > LIMIT


def test_the_trail_of_commands_is_put_aside_as_any_log(tmp_path: Path) -> None:
    trail = audit_trail.file_of(tmp_path)
    trail.parent.mkdir()
    trail.write_bytes(b"x" * (log_file.LIMIT + 1))
    for number in (1, 2):
        audit_trail.note(tmp_path, f"backfill {number}", by="ada", reason=None)
    assert sorted(one.name for one in trail.parent.iterdir()) == ["audit.log", "audit.log.1"]
    assert [line.split(" ", 1)[1] for line in trail.read_text().splitlines()] == ["ada: backfill 1", "ada: backfill 2"]
    assert trail.with_name("audit.log.1").stat().st_size == log_file.LIMIT + 1
