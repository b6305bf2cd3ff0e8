"""`tidemark shell` at a real terminal and from a pipe: `tm` is ready, a refusal is one line, Python goes on."""

import subprocess
import sys
from pathlib import Path

import pexpect

from tidemark import Tidemark

TIDEMARK = Path(sys.executable).parent / "tidemark"


def test_tm_is_ready_at_a_terminal(filled: Tidemark) -> None:
    there = pexpect.spawn(str(TIDEMARK), ["shell"], encoding="utf-8", timeout=60, dimensions=(40, 200))
    there.expect_exact("is open as `tm`")
    there.expect_exact(">>> ")
    there.sendline("print('rows', tm.signals(symbol='BTCUSDT', limit=None).height)")
    there.expect(r"rows (\d+)")
    assert int(there.match[1]) == filled.signals(symbol="BTCUSDT", limit=None).height > 0
    there.expect_exact(">>> ")
    there.sendintr()
    there.expect_exact("KeyboardInterrupt")
    there.expect_exact(">>> ")
    there.sendeof()
    there.expect(pexpect.EOF)
    there.close()
    assert there.exitstatus == 0


def typed(text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([TIDEMARK, "shell"], input=text, capture_output=True, text=True, timeout=60, check=False)


def test_a_refusal_is_one_line_and_python_goes_on() -> None:
    done = typed("tm.signals(symbol='BTCUSD')\nprint('on', 1 + 1)\n1 / 0\n")
    assert "BTCUSDT" in done.stderr
    assert done.stderr.count("Traceback") == 1
    assert "ZeroDivisionError" in done.stderr
    assert "on 2" in done.stdout
    assert done.returncode == 0


def test_wrong_settings_are_said_before_python_opens(monkeypatch) -> None:
    monkeypatch.setenv("TIDEMARK_INTERVALS", "17m")
    done = typed("print('open')\n")
    assert done.returncode == 2
    assert "17m" in done.stderr
    assert "Traceback" not in done.stderr
    assert "open" not in done.stdout
