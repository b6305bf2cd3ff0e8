"""`python -m pipeline.cli`: the `tidemark` command, for a process that knows its interpreter and not its folder."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
