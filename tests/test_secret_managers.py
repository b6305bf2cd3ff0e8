"""Secrets from managers: each with a client in the place of its own, and files as they are."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipeline.app.trading_access import keys_of
from pipeline.errors import UsageError
from pipeline.settings import load, secrets_of

KEY = "canary-key-" + "k" * 53
SECRET = "canary-secret-" + "s" * 50
URI = "mongodb://u:very-secret-token@db:27017/?replicaSet=rs0"
HELD = {"mongo_uri": URI, "api_key": KEY, "api_secret": SECRET}


class Refused(Exception):
    """What a client raises whose user may not read."""


class NotFound(Exception):
    """What a client raises where there is no such secret."""


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


class Kept:
    """The secrets by the names they have there. `refused`: those that may not be read."""

    def __init__(self, form: str, held: dict[str, str] = HELD) -> None:
        self.secrets = {form.format(name): value for name, value in held.items()}
        self.refused: set[str] = set()
        self.asked: list[str] = []

    def give(self, place: str) -> str | None:
        self.asked.append(place)
        if place in self.refused:
            raise Refused(f"403 no access to {place}")
        return self.secrets.get(place)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    made = ModuleType(name)
    made.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, made)


def google(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    class Client:
        def access_secret_version(self, *, name: str, timeout: float) -> Any:
            assert timeout > 0
            projects, project, _, place, *version = name.split("/")
            assert (projects, project, version) == ("projects", "my-project", ["versions", "latest"])
            found = kept.give(place)
            if found is None:
                raise NotFound(name)
            return SimpleNamespace(payload=SimpleNamespace(data=found.encode()))

    module(monkeypatch, "google")
    module(monkeypatch, "google.api_core")
    module(monkeypatch, "google.api_core.exceptions", NotFound=NotFound)
    module(monkeypatch, "google.cloud", secretmanager=SimpleNamespace(SecretManagerServiceClient=Client))


def amazon(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    class Client:
        exceptions = SimpleNamespace(ResourceNotFoundException=NotFound)

        def get_secret_value(self, *, SecretId: str) -> Any:
            found = kept.give(SecretId)
            if found is None:
                raise NotFound(SecretId)
            return {"SecretString": found}

    def client(kind: str, *, region_name: str, config: Any) -> Client:
        assert (kind, region_name) == ("secretsmanager", "eu-west-1")
        return Client()

    module(monkeypatch, "boto3", client=client)
    module(monkeypatch, "botocore")
    module(monkeypatch, "botocore.config", Config=SimpleNamespace)


def keyring(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    def get_password(service: str, user: str) -> str | None:
        assert service == "tidemark"
        return kept.give(user)

    module(monkeypatch, "keyring", get_password=get_password)


Install = Callable[[pytest.MonkeyPatch, Kept], None]
MANAGERS: dict[str, tuple[str, str, Install]] = {
    "google": ("gcp://my-project", "tidemark_{}", google),
    "amazon": ("aws://eu-west-1", "tidemark/{}", amazon),
    "keyring": ("keyring:", "{}", keyring),
}


@pytest.fixture(params=MANAGERS)
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A manager that holds three secrets, and that the settings name."""
    address, form, install = MANAGERS[request.param]
    made = Kept(form)
    install(monkeypatch, made)
    monkeypatch.setenv("TIDEMARK_SECRETS", address)
    return made


def place(kept: Kept, name: str) -> str:
    return next(one for one in kept.asked if one.endswith(name))


def test_what_a_manager_has_is_a_setting_like_any_other(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = load()
    assert settings.api_key is not None
    assert settings.api_secret is not None
    assert settings.mongo_uri is not None
    found = (settings.mongo_uri, settings.api_key, settings.api_secret)
    assert [one.get_secret_value() for one in found] == [URI, KEY, SECRET]
    assert settings.notify_urls == ()
    assert {URI, KEY, SECRET} <= set(secrets_of(settings)), "so that logs are scrubbed of them"
    assert not [one for one in (KEY, SECRET, URI) if one in repr(settings) + caplog.text]


def test_what_is_set_here_or_set_to_none_is_not_asked_for(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("s" * 64)
    monkeypatch.setenv("TIDEMARK_API_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("TIDEMARK_MONGO_URI", "mongodb://here")
    monkeypatch.setenv("tidemark_api_key", "")
    kept.refused = {one for one in kept.secrets if not one.endswith("urls")}
    settings = load()
    assert settings.api_key is None
    assert settings.api_secret is not None
    assert settings.mongo_uri is not None
    assert settings.mongo_uri.get_secret_value() == "mongodb://here"
    assert not any(one.endswith(("api_key", "api_secret", "mongo_uri")) for one in kept.asked)


def test_one_that_may_not_be_read_is_named_with_its_manager(kept: Kept) -> None:
    kept.refused = {one for one in kept.secrets if one.endswith("api_secret")}
    with pytest.raises(UsageError) as failure:
        load()
    said = str(failure.value)
    address = os.environ["TIDEMARK_SECRETS"]
    assert said.startswith(f"{address} did not give {place(kept, 'api_secret')}, the setting api_secret: Refused: 403")
    assert "TIDEMARK_API_SECRET" in said
    assert failure.value.__context__ is None
    assert KEY not in said


def test_a_key_that_is_missed_is_missed_there_too(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.secrets = {place: value for place, value in kept.secrets.items() if "api" not in place}
    monkeypatch.setenv("TIDEMARK_ENVIRONMENT", "binance-um-demo")
    with pytest.raises(UsageError) as failure:
        keys_of(load())
    assert f"{os.environ['TIDEMARK_SECRETS']} has no {place(kept, 'api_key')}" in str(failure.value)


def test_a_folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "secrets"
    monkeypatch.setenv("TIDEMARK_SECRETS", f"file://{folder}")
    with pytest.raises(UsageError, match=f"secrets = 'file://{folder}' cannot be asked: .* is no folder"):
        load()
    folder.mkdir()
    (folder / "api_key").write_text(KEY + "\n")
    settings = load()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    (folder / "api_secret").mkdir()
    with pytest.raises(UsageError, match=f"did not give {folder}/api_secret, the setting api_secret: IsADirectoryErr"):
        load()


@pytest.mark.parametrize(("address", "package"), [("aws://eu-west-1", "boto3"), ("keyring:", "keyring")])
def test_what_is_not_installed_is_named(address: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("TIDEMARK_SECRETS", address)
    with pytest.raises(
        UsageError, match=f"secrets = '{address}' needs the package {package}: install the extra `secrets`"
    ):
        load()


@pytest.mark.parametrize("address", ["vault://x", "gcp:", "aws://", "file://relative", "keyring", "gcp://a/b"])
def test_what_is_no_manager_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_SECRETS", address)
    with pytest.raises(UsageError, match=r"TIDEMARK_SECRETS = .* must be gcp://PROJECT, aws://REGION"):
        load()
