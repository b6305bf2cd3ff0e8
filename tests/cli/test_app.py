import re
import shlex
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from pipeline.cli import app as cli
from pipeline.errors import AttentionError, TidemarkError, UsageError


def a_command_line_with(command: object) -> typer.Typer:
    root = cli.build()
    root.command("sample")(command)  # type: ignore[type-var]
    return root


def run(command: object, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(a_command_line_with(command), ["sample", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(("kind", "code"), [(TidemarkError, 1), (UsageError, 2), (AttentionError, 3)])
def test_an_expected_failure_is_one_line_and_its_exit_code(kind: type[TidemarkError], code: int) -> None:
    def sample() -> None:
        raise kind("the disk is [full]: free some space")

    assert run(sample) == (code, "", "error: the disk is [full]: free some space\n")


def test_an_interrupted_command_leaves_with_130() -> None:
    def sample() -> None:
        raise KeyboardInterrupt

    code, _, said = run(sample)
    assert code == 130
    assert "Traceback" not in said


def test_a_command_can_say_it_failed_without_words() -> None:
    def sample() -> None:
        raise typer.Exit(3)

    assert run(sample) == (3, "", "")


def test_a_bug_shows_where_it_is_and_no_values() -> None:
    program = """
import typer
from pipeline.cli import app as cli
root = cli.build()
@root.command()
def sample():
    secret = "hunter" + str(2)
    raise ZeroDivisionError("a bug")
root()
"""
    done = subprocess.run([sys.executable, "-c", program, "sample"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ZeroDivisionError: a bug" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Usage: tidemark"),
        (["--help"], 0, "doctor"),
        (["-h"], 0, "doctor"),
        (["--version"], 0, "tidemark 0."),
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["doctr"], 2, "doctor"),
        (["doctor", "--nonsense"], 2, "No such option"),
        (["doctor", "--only", "nonsense"], 2, "Allowed: python, prefect, ta-lib"),
        (["candles", "BTCUSDT", "1h", "--last", "many"], 2, "'--last': 'many' is not a whole number"),
        (["candles", "BTCUSDT", "1h", "--last", "1.5"], 2, "'--last': '1.5' is not a whole number"),
        (["candles", "BTCUSDT", "1h", "--last", "0"], 2, "'--last': '0' is less than 1"),
        (["trading", "BTCUSDT", "--leverage", "1000"], 2, "'--leverage': '1000' is more than 125"),
        (["account", "--by", "year"], 2, "'year'"),
    ],
)
def test_what_the_command_line_says(arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(cli.build(), arguments, prog_name="tidemark")
    assert (result.exit_code, said in result.output) == (code, True), result.output


def every_command() -> list[list[str]]:
    paths: list[list[str]] = []
    root = typer.main.get_command(cli.build())

    def walk(command: object, path: list[str]) -> None:
        children = getattr(command, "commands", {})
        for name, child in children.items():
            walk(child, [*path, name])
        if not children:
            paths.append(path)

    walk(root, [])
    return paths


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: list[str]) -> None:
    result = CliRunner().invoke(cli.build(), [*path, "--help"], prog_name="tidemark")
    assert result.exit_code == 0
    assert "Example" in result.output


def every_example() -> list[str]:
    """What the helps tell people to type, without what explains it."""
    root = typer.main.get_command(cli.build())
    epilogs: list[str] = []

    def walk(command: object) -> None:
        epilogs.append(getattr(command, "epilog", None) or "")
        for child in getattr(command, "commands", {}).values():
            walk(child)

    walk(root)
    typed = re.findall(r"(?:^\s*|\[bold\])(tidemark .+?)(?=\s{2,}|\[/bold\]| > |$)", "\n".join(epilogs), re.MULTILINE)
    return sorted(set(typed))


@pytest.mark.parametrize("example", every_example())
def test_an_example_exists_with_these_options(example: str) -> None:
    result = CliRunner().invoke(cli.build(), [*shlex.split(example)[1:], "--help"])
    assert result.exit_code == 0, result.output


HEAVY = [
    "asyncio",
    "prefect",
    "pymongo",
    "numpy",
    "polars",
    "requests",
    "websockets",
    "aiohttp",
    "talib",
    "pydantic",
    "cryptography",
]


def test_the_command_line_is_built_without_what_is_heavy() -> None:
    program = f"""
import sys
from pipeline.cli.app import build
build()
print(*[name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
