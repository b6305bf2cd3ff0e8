"""Nothing is left of a folder of the tests, however whoever made it ends."""

import subprocess
import sys
from pathlib import Path

import psutil

from tests import folders

USER = """
import subprocess, sys, time
from pathlib import Path
from tests import folders
folder = Path(sys.argv[1])
kept = folders.reaper(folder)
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", str(folder)])
print(kept.pid, left.pid, flush=True)
time.sleep(300)
"""


def test_killed_it_leaves_neither_the_folder_nor_what_runs_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "data").mkdir(parents=True)
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", USER, str(folder)], cwd=root, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        started = [psutil.Process(int(number)) for number in user.stdout.readline().split()]
        user.kill()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
    assert not folder.exists()


def test_a_disk_that_is_not_there_has_no_room(tmp_path: Path) -> None:
    assert not folders.has_room(tmp_path / "nowhere")
