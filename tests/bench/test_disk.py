"""The disk beside a measurement."""

import time
from pathlib import Path

from bench import disk


def test_it_is_looked_at_until_the_end_and_told_in_words(tmp_path: Path) -> None:
    with disk.watched(tmp_path) as took:
        deadline = time.monotonic() + 60
        while len(took) < 2 and time.monotonic() < deadline:
            time.sleep(disk.EVERY)
    seen = len(took)
    assert seen >= 2
    assert min(took) > 0
    time.sleep(3 * disk.EVERY)
    assert len(took) == seen
    assert disk.in_words([1.0, 3.0]).startswith("meanwhile the disk took 2.0 ms to have a page, p99 ")
    assert "at worst 3 ms" in disk.in_words([1.0, 3.0])
    assert disk.in_words([1.0]) == ""
