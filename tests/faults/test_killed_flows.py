"""Prefect and the flows end while a flow runs: in order, killed, or with the machine. Started again, every deployment
runs again: no slot stays taken by a run that is gone."""

import json
import shutil
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from pipeline.store.deployments import DeploymentStore
from pipeline.store.mongod.launch import any_free_port
from pipeline.supervise import services
from pipeline.supervise.prefect_login import login_of
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Supervisor
from tests.prefect_home import PrefectHome

DATABASE = "killed-flows"
DEPLOYMENT = "returns/every-minute"
AT_WORK = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PATIENCE = 120.0


class Flows:
    """A Prefect and what runs its flows, in this folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = any_free_port()

    @contextmanager
    def running(self) -> Iterator[Supervisor]:
        with Reaper() as reaper, Supervisor(self.home / "logs", reaper) as supervisor:
            for service in (
                services.prefect_server(self.home, self.port),
                services.flow_runner(self.home, self.port, {}),
            ):
                supervisor.start(service)
                supervisor.wait_ready(service.name)
            yield supervisor

    def ask(self, path: str, body: Any = None) -> Any:
        token = b64encode(login_of(self.home).encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api{path}", data, headers)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:  # its database is busy: nothing was done
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def start_run(self) -> str:
        once = {"idempotency_key": str(uuid4())}
        return str(self.ask(f"/deployments/{self.deployment()}/create_flow_run", once)["id"])

    def deployment(self) -> str:
        return str(self.ask(f"/deployments/name/{DEPLOYMENT}")["id"])

    def pause(self) -> None:
        """None of its runs begins by itself, and those that have begun are over: one that is asked for is the only one,
        and not left out for another."""
        known = self.deployment()
        self.ask(f"/deployments/{known}/pause_deployment", {})
        at_work = {"deployments": {"id": {"any_": [known]}}, "flow_runs": {"state": {"type": {"any_": AT_WORK}}}}
        deadline = time.monotonic() + PATIENCE
        while left := self.ask("/flow_runs/filter", at_work):
            assert time.monotonic() < deadline, [one["state"]["type"] for one in left]
            time.sleep(0.1)

    def becomes(self, run: str, states: set[str]) -> str:
        deadline = time.monotonic() + PATIENCE
        while (state := str(self.ask(f"/flow_runs/{run}")["state"]["type"])) not in states:
            assert time.monotonic() < deadline, state
            time.sleep(0.05)
        return state


@pytest.fixture
def flows(
    home: Path, mongo: Any, mongo_uri: str, prefect_home: PrefectHome, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flows]:
    for name, value in {"HOME": str(home), "MONGO_URI": mongo_uri, "DATABASE": DATABASE}.items():
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    prefect_home.furnish(home / "prefect")
    yield Flows(home)
    mongo.drop_database(DATABASE)


def kill(supervisor: Supervisor) -> None:
    """All at once, with whatever they had started."""
    for status in supervisor.statuses():
        process = psutil.Process(status.process_id)
        for one in [process, *process.children(recursive=True)]:
            one.kill()


@pytest.mark.parametrize("how", ["in order", "killed", "killed, and the disk lost the last seconds"])
def test_a_deployment_runs_again_however_its_last_run_ended(flows: Flows, mongo: Any, how: str) -> None:
    deployments = DeploymentStore(mongo[DATABASE], "sim")
    with flows.running() as supervisor:
        flows.pause()
        while flows.becomes(cut := flows.start_run(), {"PENDING", "RUNNING", "COMPLETED"}) == "COMPLETED":
            pass  # it was over before anybody saw it begin
        if how != "in order":
            kill(supervisor)
    assert all((one.served_since is None) == (how == "in order") for one in deployments.list())
    if "disk" in how:
        shutil.rmtree(flows.home / "prefect" / "concurrency_leases", ignore_errors=True)
    with flows.running():
        left_to_end = {"COMPLETED"} if how == "in order" else set()
        assert flows.becomes(cut, ENDED) in {"CRASHED", "CANCELLED"} | left_to_end
        before = datetime.now(UTC)
        assert flows.becomes(flows.start_run(), ENDED) == "COMPLETED"
        deadline = time.monotonic() + PATIENCE
        while not any(one.completed_at and one.completed_at > before for one in deployments.list()):
            assert time.monotonic() < deadline, "the database was not told"
            time.sleep(0.1)
    assert all(one.served_since is None for one in deployments.list())
