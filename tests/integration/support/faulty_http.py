"""What happens to requests on a bad line, or at a provider in trouble."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate

from .http_proxy import Answer, BrokenError, Hands, Request


def any_request(_request: Request) -> bool:
    return True


def method(name: str, *query: str) -> Callable[[Request], bool]:
    """Tell requests by their method, and by parameters that stand in their address."""
    return lambda request: request.method == name and all(one in request.query for one in query)


def error(status: int, code: str, message: str = "no", headers: dict[str, str] | None = None, **details: str) -> Answer:
    """An answer as S3 gives it when it refuses."""
    more = "".join(f"<{name}>{value}</{name}>" for name, value in details.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'
    return Answer(status, {"content-type": "application/xml", "date": formatdate(usegmt=True), **(headers or {})}, body.encode())


@dataclass
class Fault:
    """What happens to the next `times` requests that are `on`. `seen` counts those it happened to."""

    on: Callable[[Request], bool] = any_request
    times: float = 1
    resets_request_after: int | None = None
    flips_request_at: int | None = None
    instead: Answer | None = None
    loses_answer: bool = False
    breaks_answer_after: int | None = None
    resets: bool = False
    flips_answer_at: int | None = None
    replaces_answer: Answer | None = None
    delay: float = 0.0
    seen: int = 0


LASTING = math.inf


class Faulty(Hands):
    """Hands that do harm: the first of its `faults` that a request is on, and that has not happened often enough, happens to it."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self._lock = threading.Lock()
        self._now = threading.local()

    def reads(self, request: Request) -> int | None:
        with self._lock:
            fault = next((one for one in self.faults if one.seen < one.times and one.on(request)), None)
            if fault:
                fault.seen += 1
        # One connection is one thread of the proxy.
        self._now.fault = fault
        return fault.resets_request_after if fault else None

    def request(self, request: Request) -> Request | Answer:
        fault: Fault | None = self._now.fault
        if fault is None:
            return request
        time.sleep(fault.delay)
        if fault.instead:
            return fault.instead
        return request if fault.flips_request_at is None else replace(request, body=flipped(request.body, fault.flips_request_at))

    def answer(self, request: Request, answer: Answer) -> Answer:
        fault: Fault | None = self._now.fault
        if fault is None or fault.instead:
            return answer
        if fault.loses_answer:
            raise BrokenError
        if fault.replaces_answer:
            return fault.replaces_answer
        body = answer.body if fault.flips_answer_at is None else flipped(answer.body, fault.flips_answer_at)
        return replace(answer, body=body, breaks_after=fault.breaks_answer_after, resets=fault.resets)


def flipped(body: bytes, at: int) -> bytes:
    """The body with one bit changed, as far as it has that byte."""
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if at < len(body) else body
