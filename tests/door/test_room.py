"""The memory that is free: a container that may have less than its machine says so."""

from pathlib import Path

import psutil

from pipeline.app.room import free_bytes


def grouped(folder: Path, most: str) -> Path:
    told = {"max": most, "current": "700\n", "stat": "anon 300\ninactive_file 250\nactive_file 100\n"}
    for name, text in told.items():
        (folder / f"memory.{name}").write_text(text)
    return folder


def test_a_container_has_what_it_may_have_and_what_it_could_give_back(tmp_path: Path) -> None:
    assert free_bytes(grouped(tmp_path, "1000\n")) == 550


def test_where_nothing_is_bounded_it_is_the_machines(tmp_path: Path) -> None:
    whole = psutil.virtual_memory().total
    for group in (tmp_path / "none", grouped(tmp_path, "max\n")):
        assert 10_000_000 < free_bytes(group) <= whole
