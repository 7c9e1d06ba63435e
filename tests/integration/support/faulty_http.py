"""What happens to requests on a bad line, or at a provider in trouble."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    return Answer(status, {"content-type": "application/xml", **(headers or {})}, body.encode())


def unchanged(answer: Answer) -> Answer:
    return answer


def broken_after(count: int, *, reset: bool = False) -> Callable[[Answer], Answer]:
    """Let an answer end after so many bytes of its body, which had promised more."""
    return lambda answer: replace(answer, breaks_after=count, resets=reset)


def flipped_at(position: int) -> Callable[[Answer], Answer]:
    """Change one bit of an answer's body."""
    return lambda answer: replace(answer, body=flipped(answer.body, position))


def with_headers(**headers: str) -> Callable[[Answer], Answer]:
    """Put other headers into an answer; `_` stands for a dash."""
    return lambda answer: replace(answer, headers={**answer.headers, **{name.replace("_", "-"): value for name, value in headers.items()}})


def flipped(body: bytes, at: int) -> bytes:
    """The body with one bit changed, as far as it has that byte."""
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if at < len(body) else body


@dataclass
class Fault:
    """What happens to the next `times` requests that are `on`, or to each that is not the like of an earlier one, if it is `once_each`.

    Each is held back for `delay` seconds, or `until` that event. `seen` counts those it happened to.
    """

    on: Callable[[Request], bool] = any_request
    times: float = 1
    once_each: bool = False
    delay: float = 0.0
    until: threading.Event | None = None
    resets_request_after: int | None = None
    flips_request_at: int | None = None
    instead: Answer | None = None
    loses_answer: bool = False
    changes_answer: Callable[[Answer], Answer] = unchanged
    seen: int = 0
    _met: set[tuple[str, str]] = field(default_factory=set)

    def meets(self, request: Request) -> bool:
        """Tell whether it happens to this request."""
        if not self.on(request):
            return False
        if self.once_each:
            known = (request.method, request.target)
            if known in self._met:
                return False
            self._met.add(known)
        elif self.seen >= self.times:
            return False
        self.seen += 1
        return True


LASTING = math.inf


class Faulty(Hands):
    """Hands that do harm: what is first of its `faults` and meets a request, happens to it."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self._lock = threading.Lock()
        self._now = threading.local()

    def reads(self, request: Request) -> int | None:
        with self._lock:
            fault = next((one for one in self.faults if one.meets(request)), None)
        # One connection is one thread of the proxy.
        self._now.fault = fault
        return fault.resets_request_after if fault else None

    def request(self, request: Request) -> Request | Answer:
        fault: Fault | None = self._now.fault
        if fault is None:
            return request
        time.sleep(fault.delay)
        if fault.until is not None:
            fault.until.wait()
        if fault.instead:
            return replace(fault.instead, headers={"date": formatdate(usegmt=True), **fault.instead.headers})
        return request if fault.flips_request_at is None else replace(request, body=flipped(request.body, fault.flips_request_at))

    def answer(self, _request: Request, answer: Answer) -> Answer:
        fault: Fault | None = self._now.fault
        if fault is None or fault.instead:
            return answer
        if fault.loses_answer:
            raise BrokenError
        return fault.changes_answer(answer)
