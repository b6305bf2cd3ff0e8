"""docker-compose.yml without Docker: what it says is checked, and each of our services' exact commands and healthchecks
run as processes of this machine.

Only what a container network and its mounts would provide is put in the place of the real thing: host names, ports,
paths of secrets and data. The database's entry script is one of our own that does what the image's does; Prefect keeps
its data in SQLite here instead of Postgres; Postgres and Prometheus themselves are not run, and the proxy is in
`tests/web/test_proxy.py`.
"""

import json
import os
import re
import secrets as randomness
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml
from distributed import Client

from pipeline import settings
from pipeline.errors import UsageError
from pipeline.settings import PREFIX, load, variable_names
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.mongod import launch
from pipeline.store.mongod.binary import find_mongod
from pipeline.store.mongod.launch import any_free_port
from tests.prefect_home import PrefectHome

ROOT = Path(__file__).parents[1]
NOT_RUN = {"postgres", "metrics", "proxy"}
PATIENCE = 120.0
PAGE_NAME = "tidemark.example.org"

VARIABLE = r"(?<!\$)\$\{([A-Z_]+)(?:(:?)-([^}]*))?\}"

ENTRY_SCRIPT = """#!{python}
import os, subprocess, sys, time
from pymongo import MongoClient
from pymongo.errors import PyMongoError
data = {data!r}
if not os.path.exists(data):
    os.mkdir(data)
    alone = ["mongod", "--dbpath", data, "--bind_ip", "127.0.0.1", "--port", "{port}", "--nounixsocket", "--quiet"]
    with subprocess.Popen(alone, stdout=subprocess.DEVNULL) as first:
        client = MongoClient("127.0.0.1", {port}, directConnection=True)
        password = open(os.environ["MONGO_INITDB_ROOT_PASSWORD_FILE"]).read().strip()
        client.admin.command("createUser", os.environ["MONGO_INITDB_ROOT_USERNAME"], pwd=password, roles=["root"])
        first.terminate()
os.execvp(sys.argv[1], [*sys.argv[1:], "--dbpath", data, "--nounixsocket", "--quiet"])
"""


def resolve(node: Any, values: dict[str, str]) -> Any:
    """Put values, else the defaults, in the place of `${NAME:-default}`, and of `${NAME-default}`, where also an empty
    value counts; a variable without a default is an error."""
    if isinstance(node, dict):
        return {name: resolve(each, values) for name, each in node.items()}
    if isinstance(node, list):
        return [resolve(each, values) for each in node]
    if not isinstance(node, str):
        return node

    def value(found: re.Match[str]) -> str:
        name, colon, default = found.groups()
        assert default is not None, f"{name} has no default"
        return values.get(name, default) or (default if colon else "")

    return re.sub(VARIABLE, value, node)


def composed(**values: str) -> dict[str, Any]:
    found: dict[str, Any] = resolve(yaml.safe_load((ROOT / "docker-compose.yml").read_text()), values)
    return found


COMPOSE = composed()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == f"tidemark:{VERSION}"]


def variables() -> dict[str, str]:
    """Every variable of the file with its default."""
    text = (ROOT / "docker-compose.yml").read_text()
    return {name: default for name, _, default in re.findall(VARIABLE, text)}


def test_every_variable_has_a_default_and_can_be_set() -> None:
    chosen = {name: f"chosen-{number}" for number, name in enumerate(variables())}
    text = json.dumps(composed(**chosen))
    assert all(value in text for value in chosen.values())
    assert "${" not in text.replace("$${", "")


@pytest.fixture(scope="module")
def prefects_own() -> set[str]:
    """The variables that Prefect knows, asked in a process of its own: it is slow to import, and sets things up."""
    program = (
        "from prefect.settings.models.root import Settings; from prefect.settings.legacy import _get_settings_fields;"
        "print(*_get_settings_fields(Settings))"
    )
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.split())


PROFILES = {
    "executor": ["auto-execute"], "ingester-coin-m": ["coin-m", "coin-m-auto-execute"],
    "ingester-spot": ["spot", "spot-auto-execute"],
    "executor-coin-m": ["coin-m-auto-execute"], "executor-spot": ["spot-auto-execute"],
    "scheduler": ["cluster"], "workers": ["cluster"], "proxy": ["tls"],
}  # fmt: skip
"""Of the services that not everybody wants."""
READERS = [name for name in OURS if "env_file" in SERVICES[name]]
TABLES = [name for name in variable_names() if name.count("__") == 2]
KEYS = {f"{PREFIX}{name.upper()}" for name in settings.KEYS} | {name for name in TABLES if name.endswith("__KEYS")}
PROXIES = {"TIDEMARK_PROXY"} | {name for name in TABLES if name.endswith("__PROXY")}
NOTIFYING = {"TIDEMARK_NOTIFY_URLS", "TIDEMARK_NOTIFY_URLS_FILE"}
WITHHELD = {
    "mongo-init": KEYS | NOTIFYING | PROXIES, "flows": KEYS | NOTIFYING, "ingester": KEYS, "executor": set(),
    "ingester-coin-m": KEYS, "ingester-spot": KEYS, "executor-coin-m": set(), "executor-spot": set(),
    "page": KEYS | NOTIFYING, "workers": KEYS | NOTIFYING,
}  # fmt: skip
"""Settings that a service has no business with."""
WITHOUT_SETTINGS = {"prefect-server", "scheduler"}


def environment_of(name: str, chosen: dict[str, str]) -> dict[str, str]:
    """What the containers of a service are given where `.env` says this."""
    service = composed(**chosen)["services"][name]
    files = service.get("env_file", [])
    assert files in ([], [{"path": ".env", "required": False}])
    return {**(chosen if files else {}), **{key: str(value) for key, value in service.get("environment", {}).items()}}


def test_every_setting_reaches_the_services_that_have_business_with_it() -> None:
    assert set(READERS) == set(WITHHELD) == set(OURS) - WITHOUT_SETTINGS
    chosen = {name: f"chosen-{number}" for number, name in enumerate(variable_names())}
    for name, withheld in WITHHELD.items():
        given = environment_of(name, chosen)
        assert {key for key in chosen if given[key] == chosen[key]} == chosen.keys() - withheld, name
        assert {given[key] for key in withheld} <= {""}, name
    for name in WITHOUT_SETTINGS:
        assert not [key for key in environment_of(name, chosen) if key.startswith(PREFIX)]
    private = {"TIDEMARK_API_SECRET_FILE": "", "TIDEMARK_PRIVATE_KEY_FILE": "/run/secrets/api_secret"}
    assert private.items() <= environment_of("executor", private).items(), "a PEM in the place of the HMAC secret"


@pytest.mark.parametrize("name", READERS)
def test_what_env_says_of_risk_is_what_counts_and_what_is_no_setting_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mongo_uri").write_text("mongodb://u:p@mongo:27017/?replicaSet=tidemark")
    for secret in ("api_key", "api_secret"):
        (tmp_path / secret).write_text("x" * 64)
    chosen = {"TIDEMARK_RISK__LEVERAGE": "1", "TIDEMARK_STRATEGY_PARAMETERS__MA_BREAKOUT__N": "60"}
    for key, value in environment_of(name, chosen).items():
        monkeypatch.setenv(key, value.replace("/run/secrets", str(tmp_path)))
    found = load(tmp_path)
    assert (found.risk.leverage, found.strategy_parameters) == (1, {"ma_breakout": {"n": "60"}})
    for key, value in environment_of(name, {"TIDEMARK_RISK_LEVERAGE": "1", "OWN_IMAGE": "mine:1"}).items():
        monkeypatch.setenv(key, value.replace("/run/secrets", str(tmp_path)))
    with pytest.raises(UsageError, match=r"TIDEMARK_RISK_LEVERAGE is not a setting\. Did you mean TIDEMARK_RISK__LEV"):
        load(tmp_path)


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_service_are_real_and_accepted(
    name: str, prefects_own: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}
    for secret in SERVICES[name].get("secrets", []):
        text = "mongodb://u:p@mongo:27017/?replicaSet=tidemark" if "uri" in secret else "x" * 64
        (tmp_path / secret).write_text(text)
    for key, value in environment.items():
        monkeypatch.setenv(key, value.replace("/run/secrets", str(tmp_path)))
    assert {key for key in environment if key.startswith("PREFECT_")} <= prefects_own
    assert load(tmp_path).environment == ("sim" if name in WITHOUT_SETTINGS else "binance-um-demo")


def test_secrets_are_files_and_each_is_for_those_who_need_it() -> None:
    declared = COMPOSE["secrets"]
    assert all(str(one["file"]).startswith("./secrets/") for one in declared.values())
    used = {name: set(service.get("secrets", [])) for name, service in SERVICES.items()}
    assert set().union(*used.values()) == set(declared)
    assert [name for name, held in used.items() if held & {"api_key", "api_secret"}] == [
        "executor", "executor-coin-m", "executor-spot",
    ]  # fmt: skip
    for name, service in SERVICES.items():
        mounted = [ROOT / str(one).partition(":")[0] for one in service.get("volumes", [])]
        texts = [one.read_text() for one in mounted if one.is_file()]
        said = json.dumps([service.get("command"), service.get("environment"), texts])
        assert set(re.findall(r"/run/secrets/(\w+)", said)) == used[name], name
        given = {key for key, value in service.get("environment", {}).items() if value != ""}
        plain = [key for key in given if re.search("PASSWORD|SECRET|API_KEY|URI", key)]
        assert all(key.endswith("_FILE") for key in plain), name
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/secrets/", "/.env"} <= set(ignored)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_watched_and_closed(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    assert service["restart"] in {"unless-stopped", "on-failure"}
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["profiles"] == PROFILES.get(name, ["signal-only", "auto-execute"])
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "healthcheck" in service or service["restart"] == "on-failure"
    if name != "postgres":  # its image begins as root to own its volume, and leaves it for `postgres`
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
        assert service["cap_drop"] == ["ALL"]
    if name in OURS:
        assert service["read_only"] is True
    for other, wanted in service.get("depends_on", {}).items():
        healthy = wanted["condition"] == "service_healthy" and "healthcheck" in SERVICES[other]
        assert healthy or wanted["condition"] == "service_completed_successfully"
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).is_file()


def test_its_mongod_is_called_as_the_embedded_one_is() -> None:
    """But for where it runs and what it may use."""
    said = shlex.split(SERVICES["mongo"]["command"][-1])
    given = {pair for pair in pairwise(said) if pair[0].startswith("--")}
    assert set(zip(launch.ALIKE[::2], launch.ALIKE[1::2], strict=True)) <= given


def test_prefect_keeps_on_disk_which_run_holds_which_place() -> None:
    """The places themselves are in its database: what is kept of them in memory alone is lost with its container."""
    prefect = SERVICES["prefect-server"]
    assert prefect["environment"]["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith(".filesystem")
    home = prefect["environment"]["PREFECT_HOME"]
    assert any(home.startswith(volume.partition(":")[2]) for volume in prefect["volumes"])
    assert all(not home.startswith(str(mount).partition(":")[0]) for mount in prefect["tmpfs"])
    assert "prefect-server" in SERVICES["flows"]["depends_on"], "so the flows end first"


def test_metrics_are_asked_of_a_service_that_serves_them() -> None:
    asked = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    targets = {one["job_name"]: one["static_configs"][0]["targets"] for one in asked}
    host, port = targets["ingester"][0].split(":")
    assert SERVICES[host]["command"][-1] == port


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def test_every_image_is_an_exact_version() -> None:
    base = next(said.partition("=")[2] for verb, said in instructions() if verb == "ARG")
    named = {service["image"] for service in SERVICES.values()} | {base}
    assert [name for name in named if not re.fullmatch(r"[\w/]+:v?\d+(\.\d+){1,2}(-[a-z-]+)?", name)] == []
    assert not [name for name in named if re.fullmatch(r"(mongo|python|prom/prometheus):v?\d+\.\d+(-.*)?", name)]
    assert {base, SERVICES["mongo"]["image"]} <= set(re.findall(r"[a-z]+:[\w.-]+", OPERATIONS)), "the page pins these"


def test_the_image_has_what_is_pinned_and_nothing_of_the_developers() -> None:
    steps = instructions()
    installs = [said for verb, said in steps if verb == "RUN" and " install " in said and "pip" in said]
    assert all("--no-deps" in said for said in installs)
    assert "--require-hashes -r constraints.txt" in installs[0]
    assert "constraints-dev" not in str(steps)
    pinned = (ROOT / "constraints.txt").read_text()
    developers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    assert not [name for name in ("pytest", "mypy", "ruff") if re.search(f"^{name}==", pinned, re.MULTILINE)]
    assert any(line.startswith("pytest") for line in developers)


def test_the_image_runs_as_nobody_special_and_holds_no_secret() -> None:
    steps = instructions()
    last = max(number for number, (verb, _) in enumerate(steps) if verb == "FROM")
    (user,) = [said for verb, said in steps[last:] if verb == "USER"]
    assert user == SERVICES["ingester"]["user"] == "10001:10001"
    allowed = [line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    copied = [part for verb, said in steps if verb == "COPY" and "--from" not in said for part in said.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / one).exists() for one in copied)
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


def test_rules_are_compiled_where_nothing_but_what_is_mounted_can_be_written(tmp_path: Path) -> None:
    """A file in the place of its folder stands for the image's file system, which also root cannot write to."""
    (kept,) = re.findall(r"NUMBA_CACHE_DIR=(\S+)", str([said for verb, said in instructions() if verb == "ENV"])[:-2])
    for name in OURS:
        mounts = [str(one).partition(":")[0] for one in SERVICES[name]["tmpfs"]]
        assert any(Path(kept).is_relative_to(one) for one in mounts), name
    (tmp_path / "rules.py").write_text("from numba import njit\n\n@njit(cache=True)\ndef two():\n    return 2\n")
    (tmp_path / "__pycache__").write_text("")
    given = {"PATH": "/usr/bin:/bin", "HOME": "/dev/null", "PYTHONDONTWRITEBYTECODE": "1"}
    told = []
    for more in ({}, {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}):
        command = [sys.executable, "-c", "import rules; print(rules.two())"]
        told.append(subprocess.run(command, env=given | more, capture_output=True, text=True, cwd=tmp_path))
    assert (told[0].returncode, told[1].stdout.strip()) == (1, "2"), told[1].stderr


class Host:
    """This machine in the place of a container host: the same commands, with our paths, ports and names in them."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.folder = folder
        self.ports = {
            name: str(any_free_port()) for name in ("27017", "4200", "8080", "9464", "8420", "8786", "8787", "8788")
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.password = randomness.token_urlsafe(12)
        secret = folder / "secrets"
        secret.mkdir(mode=0o700)
        user = f"tidemark:{self.password}"
        uri = f"mongodb://{user}@127.0.0.1:{self.ports['27017']}/?replicaSet=tidemark&authSource=admin"
        held = {
            "mongo_key": randomness.token_hex(64), "mongo_uri": uri,
            "mongo_root_password": randomness.token_urlsafe(12),
            "postgres_password": randomness.token_urlsafe(12),
            "prefect_login": f"tidemark:{randomness.token_urlsafe(12)}",
            "api_key": "sim-key", "api_secret": "sim-secret",
        }  # fmt: skip
        for name, text in held.items():
            (secret / name).write_text(text + "\n")
        self.secrets = held
        (folder / "configdb").mkdir()
        self._tools = folder / "tools"
        self._tools.mkdir()
        (self._tools / "mongod").symlink_to(find_mongod())
        script = self._tools / "docker-entrypoint.sh"
        script.write_text(ENTRY_SCRIPT.format(python=sys.executable, data=str(folder / "db"), port=self.ports["27017"]))
        script.chmod(0o755)
        self._chosen = {
            "TIDEMARK_ENVIRONMENT": "sim", "TIDEMARK_SIM_URL": simulator.url, "TIDEMARK_INTERVALS": "1h",
            "TIDEMARK_SYMBOLS": "BTCUSDT", "TIDEMARK_HISTORY_DAYS": "2", "TIDEMARK_ALSO": "sim-cm,sim-spot",
            "COIN_M_EXCHANGE": "sim-cm", "SPOT_EXCHANGE": "sim-spot", "PAGE_URL": f"https://{PAGE_NAME}",
        }  # fmt: skip

        self._services: dict[str, Any] = composed(**self._chosen)["services"]

    def here(self, name: str, text: str) -> str:
        """What the container's text is on this machine."""
        places = {
            "/run/secrets": str(self.folder / "secrets"),
            "/data/configdb": str(self.folder / "configdb"),
            "/var/lib/tidemark": str(self.folder / "homes" / name),
            "0.0.0.0": "127.0.0.1",
            "//prefect-server:": "//127.0.0.1:",
            "//scheduler:": "//127.0.0.1:",
            "$$": "$",
            **self.ports,
        }
        for there, ours in places.items():
            text = text.replace(there, ours)
        return text

    def environment(self, name: str) -> dict[str, str]:
        given = environment_of(name, self._chosen).items()
        said = {key: value if key in self._chosen else self.here(name, value) for key, value in given}
        said = {key: value for key, value in said.items() if not key.startswith("PREFECT_SERVER_DATABASE_")}
        path = f"{self._tools}:{Path(sys.executable).parent}:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(self.folder), **said}

    def command(self, name: str) -> list[str]:
        said = self._services[name]["command"]
        return [self.here(name, part) for part in (shlex.split(said) if isinstance(said, str) else said)]

    def start(self, name: str) -> None:
        (self.folder / "homes" / name).mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                self.command(name), env=self.environment(name), stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        kind, *test = self._services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        program = [self.here(name, part) for part in test]
        return subprocess.run(program, env=self.environment(name), capture_output=True, text=True, cwd=self.folder)

    def becomes_healthy(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while (found := self.health(name)).returncode != 0:
            assert self.running[name].poll() is None, self.log(name)
            assert time.monotonic() < deadline, found.stdout + found.stderr + self.log(name)[-3_000:]
            time.sleep(0.3)

    def once(self, name: str) -> str:
        self.start(name)
        assert self.running.pop(name).wait(PATIENCE) == 0, self.log(name)
        return self.log(name)

    def stop(self, name: str) -> int:
        process = self.running.pop(name)
        process.terminate()
        return process.wait(int(SERVICES[name]["stop_grace_period"].rstrip("s")))

    def end(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGKILL)
            process.wait(20)


def deployments_of(host: Host, login: str, **headers: str) -> urllib.request.Request:
    """The question that only who has the login gets an answer to."""
    token = b64encode(login.encode()).decode()
    asked = {"Content-Type": "application/json", "Authorization": f"Basic {token}", **headers}
    return urllib.request.Request(f"http://127.0.0.1:{host.ports['4200']}/api/deployments/filter", b"{}", asked)


def entered(host: Host) -> str:
    """The cookie of a browser that comes by a fresh link, through a proxy that passes its name on."""
    said = subprocess.run(["tidemark", "page"], env=host.environment("page"), capture_output=True, text=True)
    link = next(word for word in said.stdout.split() if word.startswith(f"https://{PAGE_NAME}/enter?"))
    with closing(HTTPConnection("127.0.0.1", int(host.ports["8420"]), timeout=PATIENCE)) as line:
        line.request("GET", link.partition(PAGE_NAME)[2], headers={"Host": "stranger.test"})
        stranger = line.getresponse()
        assert (stranger.status, bool(stranger.read())) == (421, True)
        line.request("GET", link.partition(PAGE_NAME)[2], headers={"Host": PAGE_NAME})
        return str(line.getresponse().headers["Set-Cookie"])


@pytest.fixture
def host(home: Path) -> Iterator[Host]:
    with Simulator.start(markets=("um", "cm", "spot")) as simulator:
        made = Host(home, simulator)
        yield made
        made.end()


def rule_names() -> set[str]:
    groups = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"]
    return {name for group in groups for rule in group["rules"] for name in re.findall(r"tidemark_\w+", rule["expr"])}


def test_every_service_of_ours_starts_is_healthy_and_ends(
    host: Host, until: Callable[..., Any], prefect_home: PrefectHome
) -> None:
    prefect_home.furnish(host.folder / "homes" / "prefect-server" / "prefect")
    by_exchange = {"ingester", "ingester-coin-m", "ingester-spot", "executor", "executor-coin-m", "executor-spot"}
    beside = {"scheduler", "workers"}
    assert set(SERVICES) - NOT_RUN - by_exchange - beside == {"mongo", "mongo-init", "prefect-server", "flows", "page"}
    host.start("mongo")
    host.start("prefect-server")
    host.becomes_healthy("mongo")
    assert "tidemark may use tidemark on tidemark" in host.once("mongo-init")
    assert "tidemark may use tidemark on tidemark" in host.once("mongo-init")
    assert host.health("ingester").returncode == 3
    for name in (*sorted(by_exchange), "page"):
        host.start(name)
    host.becomes_healthy("prefect-server")
    host.start("flows")
    for name in (*sorted(by_exchange), "flows", "page"):
        host.becomes_healthy(name)

    with urllib.request.urlopen(f"http://127.0.0.1:{host.ports['9464']}/metrics") as answer:
        told = answer.read().decode()
    assert not [name for name in rule_names() if name not in told]
    with urllib.request.urlopen(deployments_of(host, host.secrets["prefect_login"])) as answer:
        assert len(json.load(answer)) > 5
    with pytest.raises(HTTPError, match="401"):
        urllib.request.urlopen(deployments_of(host, "tidemark:wrong"))
    with pytest.raises(HTTPError, match="400"):
        urllib.request.urlopen(deployments_of(host, host.secrets["prefect_login"], Host="stranger.test"))
    assert "Secure" in entered(host)
    with connect.client(host.secrets["mongo_uri"]) as client:
        until(lambda: client["tidemark"]["candles"].find_one({}, {"_id": 1}))

    order = ("page", *sorted(by_exchange), "flows", "prefect-server", "mongo")
    ends = {name: host.stop(name) for name in order}
    assert ends.pop("prefect-server") in {0, -signal.SIGTERM}  # its server ends in order, then passes the signal on
    assert ends == dict.fromkeys(ends, 0)
    said = "".join(host.log(name) for name in SERVICES if (host.folder / f"{name}.log").exists())
    leaked = [name for name, value in host.secrets.items() if name != "api_key" and value in said]
    assert leaked == []
    assert host.password not in said


def test_the_cluster_is_healthy_has_workers_and_ends(host: Host) -> None:
    assert host.health("scheduler").returncode == host.health("workers").returncode == 1
    host.start("scheduler")
    host.becomes_healthy("scheduler")
    host.start("workers")
    host.becomes_healthy("workers")
    with Client(f"tcp://127.0.0.1:{host.ports['8786']}", timeout=PATIENCE) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        given = client.submit(lambda: dict(os.environ)).result(timeout=PATIENCE)
    assert not [key for key in KEYS & given.keys() if given[key]]
    assert given["TIDEMARK_MONGO_URI_FILE"].endswith("/mongo_uri")
    assert {name: host.stop(name) for name in ("workers", "scheduler")} == {"workers": 0, "scheduler": 0}


@pytest.fixture
def until() -> Callable[..., Any]:
    def wait(so: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := so()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return found

    return wait
