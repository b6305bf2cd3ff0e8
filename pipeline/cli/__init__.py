"""The `tidemark` command: reads arguments, calls the pipeline, prints what came of it. It decides nothing itself."""


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    from pipeline.cli.app import build  # noqa: PLC0415 - importing this package must cost nothing

    build()()
