"""What failed while five processes shared the machine is run once more, alone, and both are told.

Most faults of the product fail again. What passes alone was a matter of the machine, of the order, or of a race, and is
named at the end, for somebody to look for its root. Where more than a few failed, nothing is run again.
"""

import json
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
A_FEW = 3
SOME_FAILED = 1
"""What pytest ends with then; anything else is no matter of tests."""


def main(ended_with: int) -> int:
    failed = sorted(json.loads(FAILED.read_text(encoding="utf-8"))) if FAILED.is_file() else []
    if ended_with != SOME_FAILED or not 0 < len(failed) <= A_FEW:
        return ended_with
    say(f"Once more, alone: {', '.join(failed)}")
    again = subprocess.run([sys.executable, "-m", "pytest", *failed], check=False).returncode
    if again == 0:
        say(f"Failed beside the others and passed alone (look for the root): {', '.join(failed)}")
    return again


def say(words: str) -> None:
    sys.stdout.write(f"\n{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
