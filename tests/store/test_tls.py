"""TLS to a MongoDB server whose certificate our own authority signed, by the options of the URI alone."""

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pipeline.errors import AttentionError
from pipeline.store import connect
from pipeline.store.mongod.binary import find_mongod
from pipeline.store.mongod.launch import LOOPBACK, any_free_port, holds

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder(named(name), named(name), key.public_key(), 1, NOW - DAY, NOW + DAY)
    return key, made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def server(scratch: Path) -> Iterator[tuple[Path, int]]:
    """A mongod that speaks TLS only; the folder of its authority's certificates, and its port."""
    folder = scratch / "tls"
    (folder / "data").mkdir(parents=True)
    ours, ours_certificate = authority("ours")
    (folder / "ca.pem").write_bytes(pem(ours_certificate))
    (folder / "another.pem").write_bytes(pem(authority("another")[1]))
    key = ec.generate_private_key(ec.SECP256R1())
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    made = x509.CertificateBuilder(ours_certificate.subject, named("server"), key.public_key(), 2, NOW - DAY, NOW + DAY)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(
        secret + pem(made.add_extension(place, critical=False).sign(ours, hashes.SHA256()))
    )
    port = any_free_port()
    program = [
        str(find_mongod()), "--dbpath", str(folder / "data"), "--bind_ip", LOOPBACK, "--port", str(port), "--quiet",
        "--nounixsocket", "--logpath", str(folder / "log"), "--tlsMode", "requireTLS", "--tlsCertificateKeyFile",
        str(folder / "server.pem"), "--tlsCAFile", str(folder / "ca.pem"), "--tlsAllowConnectionsWithoutCertificates",
    ]  # fmt: skip
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        while not holds(psutil.Process(process.pid), port):
            assert process.poll() is None, (folder / "log").read_text()
        yield folder, port
        process.terminate()


def reach(port: int, options: str) -> None:
    uri = f"mongodb://{LOOPBACK}:{port}/?directConnection=true&serverSelectionTimeoutMS=2000&{options}"
    with connect.client(uri) as client:
        connect.require(client, uri)


def test_a_certificate_of_our_authority_is_trusted(server: tuple[Path, int]) -> None:
    folder, port = server
    reach(port, f"tls=true&tlsCAFile={folder / 'ca.pem'}")


@pytest.mark.parametrize("options", ["tls=true&tlsCAFile={}/another.pem", "tls=true", "tls=false"])
def test_nothing_else_is(server: tuple[Path, int], options: str) -> None:
    folder, port = server
    with pytest.raises(AttentionError, match=f"MongoDB at 127.0.0.1:{port} cannot be reached"):
        reach(port, options.format(folder))
