"""Two Tidemarks that start in the same second must not want the same ports, though neither listens yet."""

import socket
from urllib.parse import urlsplit

import pytest

from pipeline.store.mongod.launch import LOOPBACK, any_free_port, is_free
from pipeline.supervise import services
from pipeline.supervise.services import Ports


@pytest.fixture(autouse=True)
def usual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that nothing else on this machine wants meanwhile."""
    for name in ("SIMULATOR_PORT", "PREFECT_PORT", "METRICS_PORT"):
        monkeypatch.setattr(services, name, any_free_port(3))


def numbers(ports: Ports) -> set[int]:
    addresses = {urlsplit(url).port or 0 for url in ports.exchange_urls.values()}
    assert ports.simulator in addresses
    return addresses | {ports.prefect, ports.metrics}


def test_what_one_has_claimed_another_does_not_get() -> None:
    with Ports.claimed() as mine, Ports.claimed() as yours, Ports.claimed() as others:
        assert mine.simulator == services.SIMULATOR_PORT
        assert len(numbers(mine) | numbers(yours) | numbers(others)) == 15
        assert all(map(is_free, numbers(mine) | numbers(yours))), "the parts can still listen there"


def test_a_claim_ends_with_its_block() -> None:
    with Ports.claimed():
        pass
    with Ports.claimed() as again:
        assert again.simulator == services.SIMULATOR_PORT


def test_a_port_that_somebody_listens_on_is_left_to_him() -> None:
    with socket.create_server((LOOPBACK, services.SIMULATOR_PORT)), Ports.claimed() as ports:
        assert ports.simulator != services.SIMULATOR_PORT
