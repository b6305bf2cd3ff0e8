"""A door that speaks TLS, for tests: it reads what is asked, has it carried out, and then does harm below.

Its certificate is signed by an authority of the test's own; `trusted` makes the client trust that one.
"""

import ipaddress
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"orderId": 1'
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[1, \r\n"
NOT_A_RECORD = b"\x17\x03\x03\x00\x40" + bytes(64)
FATAL_ALERT = bytes.fromhex("15030300020228")


class Authority:
    """Signs certificates for this machine; `file` is what a client has to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of a test")])
        self.file = folder / "authority.pem"
        whole = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = self._begun(self._name, self._key).add_extension(whole, True).add_extension(usage, True)
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def context(self, host: str = "127.0.0.1", days: int = 1) -> ssl.SSLContext:
        """That of a server with a certificate for `host`, good for so many days from now."""
        key = generate_private_key(SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        told = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        identity = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        begun = self._begun(name, key, days).add_extension(x509.SubjectAlternativeName([told]), False)
        signed = begun.add_extension(identity, False).sign(self._key, hashes.SHA256())
        file = self._folder / f"{host}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + signed.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _begun(self, name: x509.Name, key: EllipticCurvePrivateKey, days: int = 1) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )

    def trusted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every client of this test trusts it, and no other."""
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(self.file))


class Line:
    """One connection: its encrypted end, and the bare socket below."""

    def __init__(self, tls: ssl.SSLSocket, bare: socket.socket) -> None:
        self.tls, self.bare = tls, bare

    def send(self, answer: bytes) -> None:
        self.tls.sendall(answer)

    def spoil(self, record: bytes = NOT_A_RECORD) -> None:
        """Write below the encryption."""
        self.bare.sendall(record)

    def reset(self) -> None:
        self.bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def say_goodbye(self) -> None:
        with suppress(OSError):
            self.tls.unwrap()


Harm = Callable[[Line], object]
HARMS: dict[str, Harm] = {
    "a record that cannot be read": lambda line: line.spoil(),
    "an answer in the clear": lambda line: line.spoil(ANSWER),
    "an alert": lambda line: line.spoil(FATAL_ALERT),
    "half an answer, then a record that cannot be read": lambda line: (line.send(HALF), line.spoil()),
    "half an answer, then nothing": lambda line: line.send(HALF),
    "half a chunked answer, then nothing": lambda line: line.send(CHUNK),
    "half a chunked answer, then a record that cannot be read": lambda line: (line.send(CHUNK), line.spoil()),
    "an answer with two lengths": lambda line: line.send(ANSWER.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")),
    "an answer that is no HTTP": lambda line: line.send(b"\x00\x01\x02\r\n\r\n"),
    "an orderly goodbye": lambda line: line.say_goodbye(),
    "the end of the line": lambda line: None,
    "a reset": lambda line: line.reset(),
}
"""What happens after a request was read, and before the line ends."""


class Door:
    """Takes one request after the other, on any number of connections. `behind` carries them out, `harm` says which of
    them suffers what."""

    def __init__(
        self, context: ssl.SSLContext, *, behind: int | None = None, harm: Callable[[bytes], Harm | None] | None = None
    ) -> None:
        self._context = context
        self._behind = behind
        self._harm = harm or (lambda _: None)
        self.seen: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self._take, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def count(self, method: str) -> int:
        """How many requests of that method were read."""
        return sum(one.startswith(method.encode()) for one in self.seen)

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                arrived, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(arrived,), daemon=True).start()

    def _serve(self, arrived: socket.socket) -> None:
        with (
            socket.socket(fileno=os.dup(arrived.fileno())) as bare,
            suppress(OSError),
            self._context.wrap_socket(arrived, server_side=True, suppress_ragged_eofs=False) as tls,
        ):
            self._converse(Line(tls, bare))

    def _converse(self, line: Line) -> None:
        while (request := _read(line.tls)) is not None:
            self.seen.append(request)
            answer = ANSWER if self._behind is None else _carry(request, self._behind)
            harm = self._harm(request)
            if harm is not None:
                harm(line)
                return
            line.send(answer)


def _read(tls: ssl.SSLSocket) -> bytes | None:
    """A request without a body, or None at the end."""
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        if not (part := tls.recv(65_536)):
            return None
        read += part
    return read


def _carry(request: bytes, port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(request.replace(b"keep-alive", b"close"))
        return b"".join(iter(lambda: line.recv(65_536), b""))


@contextmanager
def door(context: ssl.SSLContext, **options: object) -> Iterator[Door]:
    """One that is open for the length of the block."""
    opened = Door(context, **options)
    try:
        yield opened
    finally:
        opened.close()
