"""A real HTTP proxy on loopback, in front of one server. Whole requests and answers pass through hands that may change them."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

_SECONDS = 30


@dataclass(frozen=True)
class Request:
    """One request; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        found = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}


@dataclass(frozen=True)
class Answer:
    """One answer. After `breaks_after` bytes of its body the connection ends, with a reset if it `resets`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    breaks_after: int | None = None
    resets: bool = False


class BrokenError(Exception):
    """The connection is to be reset, without an answer."""


class Hands:
    """Lets everything pass as it is. Subclasses change things."""

    def reads(self, _request: Request) -> int | None:
        """Return after how many bytes of a request's body the connection is reset; None: not at all. Its body is not read yet."""
        return None

    def request(self, request: Request) -> Request | Answer:
        """Return what the server is asked, or an answer without asking it."""
        return request

    def answer(self, _request: Request, answer: Answer) -> Answer:
        """Return what the client gets."""
        return answer


class HttpProxy:
    """The proxy; `url` is its address, `requests` is what came in, `connections` counts those it came by."""

    def __init__(self, upstream: str, hands: Hands, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._hands = hands
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self.requests: list[Request] = []
        self.connections = 0
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until `close`."""
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            client.settimeout(_SECONDS)
            self._open.add(client)
            self.connections += 1
            threading.Thread(target=self._client, args=(client,), daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in tuple(self._open):
            _close(client)

    def _client(self, plain: socket.socket) -> None:
        client = plain
        # A client that goes away, or breaks off a handshake, ends its own connection only.
        with suppress(OSError, ValueError, http.client.HTTPException):
            if self._tls:
                client = self._tls.wrap_socket(plain, server_side=True)
                self._open.add(client)
            with client.makefile("rb") as stream:
                while self._exchange(client, stream):
                    pass
        for one in {plain, client}:
            self._open.discard(one)
            _close(one)

    def _exchange(self, client: socket.socket, stream: BinaryIO) -> bool:
        """Serve one request; tells whether there may be another."""
        head = _read_head(stream)
        if head is None:
            return False
        length = int(head.headers.get("content-length", 0))
        if head.headers.get("expect") == "100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        ends = self._hands.reads(head)
        request = replace(head, body=stream.read(length if ends is None else min(ends, length)))
        self.requests.append(replace(request, body=b""))
        if ends is not None:
            _reset(client)
            return False
        try:
            asked = self._hands.request(request)
            answer = self._hands.answer(request, self._ask(asked) if isinstance(asked, Request) else asked)
        except BrokenError:
            _reset(client)
            return False
        return _send(client, request, answer)

    def _ask(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self._upstream, timeout=_SECONDS)
        try:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name not in {"expect", "connection", "content-length"}:
                    connection.putheader(name, value)
            if request.method in {"PUT", "POST"}:
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body or None)
            got = connection.getresponse()
            headers = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, headers, got.read())
        finally:
            connection.close()


def _read_head(stream: BinaryIO) -> Request | None:
    line = stream.readline().decode("latin-1").strip()
    if not line:
        return None
    method, target, _version = line.split(" ", 2)
    headers = {}
    while line := stream.readline().decode("latin-1").strip():
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    return Request(method, target, headers)


def _send(client: socket.socket, request: Request, answer: Answer) -> bool:
    headers = {name: value for name, value in answer.headers.items() if name not in {"connection", "transfer-encoding", "server"}}
    if request.method != "HEAD" and answer.status != 204:
        headers["content-length"] = str(len(answer.body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    body = b"" if request.method == "HEAD" else answer.body[: answer.breaks_after]
    client.sendall(f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'X')}\r\n{head}\r\n".encode("latin-1") + body)
    if answer.resets:
        _reset(client)
    return answer.breaks_after is None and not answer.resets


def _reset(client: socket.socket) -> None:
    """Close so that the other side gets a reset."""
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        client.close()


def _close(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        client.close()


@contextmanager
def http_proxy(upstream: str, hands: Hands, tls: ssl.SSLContext | None = None) -> Iterator[HttpProxy]:
    """Run the proxy on a free port of 127.0.0.1 for the length of the block."""
    proxy = HttpProxy(upstream, hands, tls)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
