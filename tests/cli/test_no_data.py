"""A command that reads never makes a data folder: in the wrong folder it says so, and where to look."""

from pathlib import Path

import pytest

from pipeline.store.mongod.folder import Folder, Remembered
from pipeline.store.mongod.launch import any_free_port
from tests.cli.conftest import Run

READING = (
    ["signals"], ["performance"], ["candles", "BTCUSDT", "1h"], ["status"], ["account"], ["account", "--now"],
    ["positions"], ["orders"], ["mode"], ["trading"], ["trading", "BTCUSDT"], ["goal"], ["breakers"], ["stage"],
    ["audit"], ["indicators"], ["returns"], ["unwatch", "BTCUSDT"], ["symbols"], ["explain"],
)  # fmt: skip


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_reading_command_makes_no_folder(tidemark: Run, home: Path, command: list[str]) -> None:
    elsewhere = home / "elsewhere"
    for options in ((), ("--json",)):
        refused = tidemark(*command, *options, TIDEMARK_MONGO_URI="", TIDEMARK_SIM_URL="", TIDEMARK_HOME=str(elsewhere))
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert refused.stderr == (
            f"error: no data in {elsewhere}; set TIDEMARK_HOME to the folder that holds it, or change to the folder "
            "that has it as .tidemark. `tidemark demo` or `tidemark backfill` begins a new one\n"
        )
        assert not elsewhere.exists()


def test_a_folder_without_a_database_is_none_either(tidemark: Run, home: Path) -> None:
    (home / "logs").mkdir()
    assert tidemark("signals", TIDEMARK_MONGO_URI="").exit_code == 2
    assert [one.name for one in home.iterdir()] == ["logs"]


def test_a_folder_that_has_a_database_is_read(tidemark: Run, home: Path) -> None:
    folder = Folder(home)
    folder.create()
    folder.remember(Remembered(port=any_free_port()))
    shown = tidemark("signals", TIDEMARK_MONGO_URI="")
    assert (shown.exit_code, shown.stderr) == (0, "No such signals.\n")


def test_a_server_of_ones_own_needs_no_folder(tidemark: Run, home: Path) -> None:
    assert tidemark("signals", TIDEMARK_HOME=str(home / "elsewhere")).exit_code == 0
    assert not (home / "elsewhere").exists()
