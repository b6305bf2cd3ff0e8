"""The root of every error a person is meant to read. The class says who acts; the message says what, which, and how."""


class TidemarkError(Exception):
    """Something failed and the command ends. The message is complete: it is printed without a traceback."""

    exit_code = 1


class UsageError(TidemarkError):
    """The caller asked for something that cannot be: fix the arguments or the settings."""

    exit_code = 2


class AttentionError(TidemarkError):
    """The machine, the database or the account needs a person before it makes sense to try again."""

    exit_code = 3


def sentence(text: object) -> str:
    """What was said, with a full stop where it has no end of its own, so that another sentence can follow."""
    said = str(text)
    return said if said.endswith((".", "?", "!")) else f"{said}."
