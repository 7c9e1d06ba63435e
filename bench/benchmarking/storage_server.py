"""Object storage in memory, for both sides of a comparison: what boto3's `upload_file`, pgkeeper and pgBackRest ask of S3, nothing else.

Everything is answered as S3 does, with MD5s as ETags, and a body that is not what its Content-MD5 says is refused. Signatures are not
looked at, every bucket exists, and removing one removes all that is in it. Started as a program, it prints its port and serves this
machine until it is ended: `--line` says how many bytes a second come in at most, `--certificate` and `--key` make it speak TLS.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

_BLOCK = 256 << 10
_PART = re.compile(r"<PartNumber>(\d+)</PartNumber>")
_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)


@dataclass(frozen=True)
class _Object:
    """Content in the pieces it came in."""

    pieces: tuple[bytearray, ...]
    etag: str
    written_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    def between(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes from `start` up to but without `end`."""
        position = 0
        for piece in self.pieces:
            yield memoryview(piece)[max(start - position, 0) : max(end - position, 0)]
            position += len(piece)


class _Line:
    """What all connections share: so many bytes a second, and no more."""

    def __init__(self, bytes_per_second: float) -> None:
        self._seconds_per_byte = 1 / bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def carry(self, size: int) -> None:
        """Return when the line has carried `size` bytes more."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size * self._seconds_per_byte
            free_at = self._free_at
        time.sleep(max(free_at - time.monotonic(), 0))


class StorageServer(ThreadingHTTPServer):
    """A server on a free port of loopback, holding everything it was sent, which came through a `line` if there is one.

    With `tls` it speaks nothing else.
    """

    # Both sides open many connections at once, and one that finds no room waits for a second.
    request_queue_size = 64

    def __init__(self, line: _Line | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            # The handshake is the connection's own work: waited for here, it would keep others from being accepted.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.line = line
        self.objects: dict[str, _Object] = {}
        self.uploads: dict[str, dict[int, _Object]] = {}
        self.numbers = count(1)


class _Handler(BaseHTTPRequestHandler):
    server: StorageServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Take one request; a client that goes away is none of our concern."""
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def parse_request(self) -> bool:
        """Read what is asked for: `_path` is bucket and key, `_asked` the rest of the address."""
        whole = super().parse_request()
        if whole:
            address = urlsplit(self.path)
            self._path = unquote(address.path).strip("/")
            self._asked = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        return whole

    def do_PUT(self) -> None:
        """Take an object, or a part of one."""
        received = self._received()
        promised = self.headers.get("Content-MD5", "")
        if promised and promised != b64encode(bytes.fromhex(received.etag)).decode():
            self._refuse(400, "BadDigest")
        elif "uploadId" not in self._asked:
            self.server.objects[self._path] = received
            self._answer(etag=received.etag)
        elif (parts := self.server.uploads.get(self._asked["uploadId"])) is not None:
            parts[int(self._asked["partNumber"])] = received
            self._answer(etag=received.etag)
        else:
            self._refuse(404, "NoSuchUpload")

    def do_POST(self) -> None:
        """Begin an upload in parts, make an object of the parts, or remove several objects."""
        body = b"".join(self._received().pieces).decode()
        if "delete" in self._asked:
            for key in _KEY.findall(body):
                self.server.objects.pop(f"{self._path}/{unescape(key)}", None)
            self._answer("<DeleteResult></DeleteResult>")
            return
        if "uploads" in self._asked:
            upload_id = f"upload-{next(self.server.numbers)}"
            self.server.uploads[upload_id] = {}
            self._answer(f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>")
            return
        parts = self.server.uploads.pop(self._asked.get("uploadId", ""), None)
        if parts is None:
            self._refuse(404, "NoSuchUpload")
            return
        listed = [parts[int(number)] for number in _PART.findall(body)]
        digests = b"".join(bytes.fromhex(part.etag) for part in listed)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(listed)}"
        self.server.objects[self._path] = _Object(tuple(piece for part in listed for piece in part.pieces), etag)
        self._answer(f'<CompleteMultipartUploadResult><ETag>"{etag}"</ETag></CompleteMultipartUploadResult>')

    def do_HEAD(self) -> None:
        """Tell size and ETag of an object, or that a bucket is there."""
        self._give(lambda _found, _start, _end: None)

    def do_GET(self) -> None:
        """Give an object or a range of it, or list a bucket."""
        if "list-type" in self._asked:
            # Clients believe only what says of which bucket and prefix it speaks.
            said = f"<Name>{escape(self._path)}</Name><Prefix>{escape(self._asked.get('prefix', ''))}</Prefix>"
            self._answer(f"<ListBucketResult>{said}<IsTruncated>false</IsTruncated>{''.join(self._listed())}</ListBucketResult>")
        elif "uploads" in self._asked:
            # What is compared here is never interrupted.
            self._answer("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
        else:
            self._give(self._write)

    def do_DELETE(self) -> None:
        """Remove an object, or a bucket with all that is in it."""
        self.server.objects.pop(self._path, None)
        for path in [path for path in self.server.objects if path.startswith(f"{self._path}/")]:
            del self.server.objects[path]
        self._answer(status=204)

    def _received(self) -> _Object:
        """Read the request's body."""
        content = bytearray(int(self.headers.get("Content-Length", 0)))
        digest = hashlib.md5(usedforsecurity=False)
        room = memoryview(content)
        while room:
            size = self.rfile.readinto(room[:_BLOCK])
            if not size:
                raise ConnectionResetError("the body is cut off")
            if self.server.line is not None:
                self.server.line.carry(size)
            digest.update(room[:size])
            room = room[size:]
        return _Object((content,), digest.hexdigest())

    def _listed(self) -> Iterator[str]:
        """Yield what begins with the prefix; keys that have the delimiter behind it stand together, as a folder does."""
        begin, delimiter = f"{self._path}/{self._asked.get('prefix', '')}", self._asked.get("delimiter", "")
        folders = set()
        for path, found in sorted(self.server.objects.items()):
            if not path.startswith(begin):
                continue
            inside, further, _rest = path.removeprefix(begin).partition(delimiter) if delimiter else ("", "", "")
            if further:
                folders.add(f"{begin}{inside}{delimiter}".removeprefix(f"{self._path}/"))
                continue
            key, written_at = escape(path.removeprefix(f"{self._path}/")), found.written_at.isoformat()
            yield f"<Contents><Key>{key}</Key><Size>{found.size}</Size><LastModified>{written_at}</LastModified></Contents>"
        for folder in sorted(folders):
            yield f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"

    def _give(self, write: Callable[[_Object, int, int], None]) -> None:
        if "/" not in self._path:
            self._answer()
            return
        found = self.server.objects.get(self._path)
        if found is None:
            self._refuse(404, "NoSuchKey")
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2] or found.size - 1) + 1) if asked else (0, found.size)
        end = min(end, found.size)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{found.size}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", f'"{found.etag}"')
        self.send_header("Last-Modified", f"{found.written_at:%a, %d %b %Y %H:%M:%S} GMT")
        self.end_headers()
        write(found, start, end)

    def _write(self, found: _Object, start: int, end: int) -> None:
        for piece in found.between(start, end):
            self.wfile.write(piece)

    def _answer(self, document: str = "", *, status: int = 200, etag: str = "") -> None:
        self.send_response(status)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(document.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(document.encode())

    def _refuse(self, status: int, code: str) -> None:
        self._answer(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", status=status)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--line", type=float)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate, options.key)
    server = StorageServer(_Line(options.line) if options.line else None, tls)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main()
