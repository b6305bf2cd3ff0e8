"""Secrets from a manager in the place of the environment: the setting `secrets` says from which. Asks; never writes.

    gcp://PROJECT       Google Secret Manager: `tidemark_api_key`, the latest version
    aws://REGION        AWS Secrets Manager: `tidemark/api_key`
    file:///FOLDER      a file for each: `api_key`
    keyring:            the keyring of this machine: the user `api_key` of the service `tidemark`

A manager that has no such secret leaves the setting unset. One that does not answer, or refuses, is an error: a secret
that could not be read must not pass for one that nobody wants. No message holds a value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.errors import UsageError

ALLOWED: Final = "gcp://PROJECT, aws://REGION, file:///FOLDER or keyring:"
_TIMEOUT: Final = 10.0
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Manager:
    """Where secrets are: the address, and how one is asked for by what it is called there; None where it is not."""

    address: str
    find: Callable[[str], str | None]

    def secret(self, name: str) -> str | None:
        """The secret of that setting, None where the manager has none; `UsageError` where that cannot be told."""
        called = place(self.address, name)
        try:
            found = self.find(called)
        except Exception as error:  # noqa: BLE001 - each manager has a family of its own
            why = f"{type(error).__name__}: {error}"[:_SHOWN]
        else:
            return (found or "").strip() or None
        raise UsageError(
            f"{self.address} did not give {called}, the setting {name}: {why}. Let whoever runs Tidemark read it "
            f"there, or set TIDEMARK_{name.upper()} to another value, or to none"
        )


def is_address(text: str) -> bool:
    """Whether it names a manager."""
    kind, _, rest = text.partition(":")
    where = rest.removeprefix("//")
    return (kind in {"gcp", "aws"} and where.replace("-", "").isalnum() and rest.startswith("//")) or (
        (kind == "file" and rest.startswith("///")) or text == "keyring:"
    )


def place(address: str, name: str) -> str:
    """What the secret of that setting is called there."""
    kind, _, rest = address.partition(":")
    folder = rest.removeprefix("//").rstrip("/")
    return {"gcp": f"tidemark_{name}", "aws": f"tidemark/{name}", "file": f"{folder}/{name}"}.get(kind, name)


def manager(address: str) -> Manager:
    """The manager at this address. `UsageError` if what is needed to ask it is not installed, or not set up."""
    kind, _, rest = address.partition(":")
    where = rest.removeprefix("//")
    made: dict[str, Callable[[], Manager]] = {
        "gcp": lambda: _google(address, where),
        "aws": lambda: _amazon(address, where),
        "file": lambda: _files(address, Path(where)),
        "keyring": lambda: _keyring(address),
    }
    try:
        return made[kind]()
    except ImportError as error:
        why = f"needs the package {error.name}: install the extra `secrets` of tidemark"
    except Exception as error:  # noqa: BLE001 - each manager has a family of its own
        why = f"cannot be asked: {type(error).__name__}: {error}"[:_SHOWN]
    raise UsageError(f"secrets = {address!r} {why}")


def _google(address: str, project: str) -> Manager:
    from google.api_core.exceptions import NotFound  # noqa: PLC0415
    from google.cloud import secretmanager  # noqa: PLC0415

    client = secretmanager.SecretManagerServiceClient()

    def find(called: str) -> str | None:
        version = f"projects/{project}/secrets/{called}/versions/latest"
        try:
            return str(client.access_secret_version(name=version, timeout=_TIMEOUT).payload.data.decode("utf-8"))
        except NotFound:
            return None

    return Manager(address, find)


def _amazon(address: str, region: str) -> Manager:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    patience = Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, retries={"total_max_attempts": 3})
    client = boto3.client("secretsmanager", region_name=region, config=patience)

    def find(called: str) -> str | None:
        try:
            return str(client.get_secret_value(SecretId=called)["SecretString"])
        except client.exceptions.ResourceNotFoundException:
            return None

    return Manager(address, find)


def _files(address: str, folder: Path) -> Manager:
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")

    def find(called: str) -> str | None:
        try:
            return Path(called).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    return Manager(address, find)


def _keyring(address: str) -> Manager:
    import keyring  # noqa: PLC0415

    ask: Any = keyring.get_password
    return Manager(address, lambda called: ask("tidemark", called))
