"""Prefect is asked until it answers, and starts one run, whatever becomes of the answers."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from bench import prefect_api
from pipeline.errors import TidemarkError
from pipeline.store.mongod.launch import any_free_port

LOGIN = "tidemark:open sesame: or not"


class Prefect(HTTPServer):
    """Treats request after request as `moods` say: "busy", "gone" (it acts and the answer is lost), or well."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.moods: list[str] = []
        self.runs: dict[str, Any] = {}
        self.asked: list[str] = []


class Desk(BaseHTTPRequestHandler):
    server: Prefect

    def do_GET(self) -> None:
        self._treat({"id": "abc"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._treat({"id": "run"}, body)

    def log_message(self, *_: object) -> None:
        pass

    def _treat(self, answer: Any, body: Any = None) -> None:
        assert self.headers["Authorization"] == f"Basic {b64encode(LOGIN.encode()).decode()}"
        mood = self.server.moods.pop(0) if self.server.moods else "well"
        self.server.asked.append(f"{self.command} {self.path} {mood}")
        if mood != "busy" and body:
            self.server.runs[body["idempotency_key"]] = body["parameters"]
        if mood == "gone":
            return
        told = json.dumps(answer).encode()
        self.send_response(503 if mood == "busy" else 201)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)


@pytest.fixture
def prefect() -> Iterator[Prefect]:
    with Prefect() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("moods", [[], ["busy", "well", "busy"], ["gone", "well", "gone", "busy"]])
def test_one_run_is_started_however_often_it_takes(prefect: Prefect, moods: list[str]) -> None:
    prefect.moods = moods
    prefect_api.start_run(prefect.server_port, LOGIN, "backfill/on-demand", {"chosen": {"days": 3}})
    assert list(prefect.runs.values()) == [{"chosen": {"days": 3}}]
    assert prefect.moods == []
    assert prefect.asked[0].startswith("GET /api/deployments/name/backfill/on-demand")
    assert prefect.asked[-1] == "POST /api/deployments/abc/create_flow_run well"


def test_one_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_api, "_AGAIN", 1)
    port = any_free_port()
    with pytest.raises(TidemarkError, match=f"Prefect at http://127.0.0.1:{port}/api/.* did not answer as it should"):
        prefect_api.start_run(port, LOGIN, "backfill/on-demand", {})
