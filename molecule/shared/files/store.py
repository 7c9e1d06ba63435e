#!/usr/bin/env python3
"""Object storage for the test hosts: moto's, in memory, behind a door that asks for the key as a provider does.

store.py CONFIGURATION     serves http://127.0.0.1:5000. The configuration is JSON: key_id, key, bucket.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from moto.server import DomainDispatcherApplication, create_backend_app  # type: ignore[attr-defined]
from werkzeug.serving import WSGIRequestHandler, run_simple
from werkzeug.test import Client

PORT = 5000
ALGORITHM = "AWS4-HMAC-SHA256"


class Refused(Exception):
    """The provider's code for what is wrong."""


def signature(environ: dict[str, Any], scope: str, names: list[str], key: str) -> str:
    """What a request has to be signed with, in Amazon's fourth version of that."""
    path, _, query = environ["REQUEST_URI"].partition("?")
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parse_qsl(query, keep_blank_values=True))
    lines = [f"{name}:{' '.join(header(environ, name).split())}" for name in names]
    asked = "\n".join(
        [
            environ["REQUEST_METHOD"],
            path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *lines,
            "",
            ";".join(names),
            header(environ, "x-amz-content-sha256"),
        ]
    )
    signed = f"AWS4{key}".encode()
    for part in scope.split("/"):
        signed = hmac.digest(signed, part.encode(), "sha256")
    text = "\n".join([ALGORITHM, header(environ, "x-amz-date"), scope, hashlib.sha256(asked.encode()).hexdigest()])
    return hmac.new(signed, text.encode(), "sha256").hexdigest()


def header(environ: dict[str, Any], name: str) -> str:
    """A header of the request."""
    key = name.upper().replace("-", "_")
    return str(environ.get(key if key.startswith("CONTENT_") and f"HTTP_{key}" not in environ else f"HTTP_{key}", ""))


def check(environ: dict[str, Any], key_id: str, key: str) -> None:
    """Let nobody in but the owner of the key. Raises Refused."""
    algorithm, _, rest = header(environ, "authorization").partition(" ")
    said = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    if algorithm != ALGORITHM:
        raise Refused("AccessDenied")
    who, _, scope = said["Credential"].partition("/")
    if who != key_id:
        raise Refused("InvalidAccessKeyId")
    if not hmac.compare_digest(signature(environ, scope, said["SignedHeaders"].split(";"), key), said["Signature"]):
        raise Refused("SignatureDoesNotMatch")


def door(inside: Callable[..., Iterable[bytes]], key_id: str, key: str) -> Callable[..., Iterable[bytes]]:
    """The application, behind that check."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            check(environ, key_id, key)
        except Refused as refused:
            # Else the next request on this connection would begin with it.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = f"<?xml version='1.0'?><Error><Code>{refused}</Code><Message>refused</Message></Error>".encode()
            start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]
        return inside(environ, start_response)

    return serve


class Quiet(WSGIRequestHandler):
    """Speaks as nginx wants it: connections that are kept."""

    protocol_version = "HTTP/1.1"


def main() -> None:
    """Make the bucket and serve."""
    configuration = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    storage = DomainDispatcherApplication(create_backend_app)
    made = Client(storage).put(f"/{configuration['bucket']}", headers={"Host": "s3.amazonaws.com"})
    if made.status_code != 200:
        raise SystemExit(f"no bucket: {made.status}")
    application = door(storage, configuration["key_id"], configuration["key"])
    run_simple("127.0.0.1", PORT, application, threaded=True, request_handler=Quiet)


if __name__ == "__main__":
    main()
