"""Asks Prefect's server on this machine. One that is busy says so, or says nothing, and is asked again."""

import uuid
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from pipeline.errors import TidemarkError
from pipeline.store.mongod.launch import LOOPBACK

TIMEOUT: Final = 30
_AGAIN: Final = Retry(
    total=8, read=2, backoff_factor=0.25, backoff_max=10, status_forcelist=(503,), allowed_methods=None
)
"""Over half a minute where it says 503, which is while its database is locked; three times where it says nothing."""


def start_run(port: int, login: str, deployment: str, parameters: dict[str, Any]) -> None:
    """Have the deployment run now, once, however often it takes to say so."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        user, _, password = login.partition(":")
        session.auth = (user, password)
        session.mount("http://", HTTPAdapter(max_retries=_AGAIN))
        api = f"http://{LOOPBACK}:{port}/api/deployments"
        known = _answer(session, "GET", f"{api}/name/{deployment}")
        wish = {"parameters": parameters, "idempotency_key": str(uuid.uuid4())}
        _answer(session, "POST", f"{api}/{known['id']}/create_flow_run", wish)


def _answer(session: requests.Session, method: str, url: str, body: Any = None) -> Any:
    try:
        answer = session.request(method, url, json=body, timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()
    except requests.RequestException as error:
        raise TidemarkError(f"Prefect at {url} did not answer as it should: {error}") from error
