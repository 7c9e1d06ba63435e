#!/usr/bin/env python3
"""Listen at a port of this host, and append what is posted there to a file, a line each: what pgkeeper tells the owner."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Listener(BaseHTTPRequestHandler):
    """Takes everything."""

    def do_POST(self) -> None:
        """Write down what was posted, then say that it arrived."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with Path(sys.argv[2]).open("ab") as heard:
            heard.write(body.replace(b"\n", b" ") + b"\n")
        self.send_response(200)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Listener).serve_forever()
