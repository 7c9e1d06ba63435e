"""Requests to one bucket: tried again while what is wrong may pass, and understood when they are refused."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pgkeeper.off_site_settings import BucketSettings
from pgkeeper.stores.bucket import Sending
from pgkeeper.stores.outgoing import Outgoing
from pgkeeper.stores.patience import Patience, Trying
from pgkeeper.stores.providers import Right, quirks
from pgkeeper.stores.s3_answers import ForwardOnly, believe_only_answers
from pgkeeper.stores.s3_bounds import bound_answers
from pgkeeper.stores.s3_client import connect
from pgkeeper.stores.s3_trouble import Trouble, answer_of, expected_errors, understand

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

T = TypeVar("T")


class _AbandonedError(Exception):
    """Whoever watched a body being sent gave it up."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class S3Requests:
    """What all requests to a bucket have in common. `client` is boto3's, `where` names the bucket to it, `name` names it to people."""

    def __init__(self, settings: BucketSettings, patience: Patience) -> None:
        self.name = f"s3://{settings.bucket}/{settings.prefix}"
        self.client = connect(settings)
        self.quirks = quirks(settings.provider)
        believe_only_answers(self.client, etags_are_md5=self.quirks.etags_are_md5)
        bound_answers(self.client)
        self._patience = patience
        self._answered = False
        self.expected = expected_errors()
        self.refused: type[Exception] = self.client.exceptions.ClientError
        self._settings = settings

    def where(self, key: str | None = None) -> dict[str, Any]:
        """Return what names the bucket, or an object in it, to boto3."""
        bucket = {"Bucket": self._settings.bucket}
        return bucket if key is None else {**bucket, "Key": self.full(key)}

    def full(self, key: str) -> str:
        """Return the key by which the provider knows an object."""
        return f"{self._settings.prefix}/{key}"

    def relative(self, full: str) -> str:
        """Return the key by which we know an object."""
        return full.removeprefix(f"{self._settings.prefix}/")

    def understand(self, error: Exception, doing: str, right: Right) -> Trouble:
        """Return what an error means that came of `doing` something ("write s3://…"), which takes a right."""
        return understand(error, f"cannot {doing}", self._settings, right)

    def begin(self) -> Trying:
        """Return what paces the tries of one piece of work."""
        return self._patience.begin(answered=self._answered)

    def answered(self) -> None:
        """Take note that the provider can be reached."""
        self._answered = True

    def attempt(self, doing: str, right: Right, ask: Callable[[], T], waiting: Callable[[], None] = lambda: None) -> T:
        """Return what `ask` answers; what may pass is tried again. Raises what is said of `Bucket`."""
        trying = self.begin()
        while True:
            try:
                found = ask()
            except self.expected as error:
                trouble = self.understand(error, doing, right)
                if not (trouble.passes and trying.pause(trouble.wait, waiting)):
                    raise trouble.error from error
            else:
                self.answered()
                return found

    def entries(
        self,
        doing: str,
        right: Right,
        ask: Callable[..., Any],
        markers: Mapping[str, str],
        entries: str,
        place: Callable[[Any], Any] | None = None,
    ) -> Iterator[Any]:
        """Yield all entries of a list, page by page; `markers` says which parameter of the next request is which part of an answer.

        `entries` is the part of an answer that holds them, `place` returns where one of them stands in the list's order.
        """
        more: dict[str, Any] = {}
        course = ForwardOnly(entries, tuple(markers.values()), place)

        def page() -> Any:  # noqa: ANN401 - boto3's answers differ
            answer = ask(**more)
            course.follow(answer)
            return answer

        while True:
            found = self.attempt(doing, right, page)
            yield from found.get(entries, ())
            if not found["IsTruncated"]:
                return
            more = {parameter: found[part] for parameter, part in markers.items() if found.get(part)}

    def send(self, key: str, content: bytes, md5: bytes, sending: Sending, ask: Callable[..., T]) -> T:
        """Send a body, and its MD5 for the provider to check what arrives. Raises what `sending` raises."""
        digest = b64encode(md5).decode()

        def send() -> T:
            body = Outgoing(content, sending)
            try:
                return ask(Body=body, ContentMD5=digest)
            except Exception:
                if body.error is not None:
                    raise _AbandonedError(body.error) from None
                raise

        try:
            return self.attempt(f"write {self.name}/{key}", "write", send, partial(sending, 0, 0))
        except _AbandonedError as abandoned:
            raise abandoned.error from None

    def head(self, key: str) -> HeadObjectOutputTypeDef | None:
        """Return what the provider knows of an object, None when there is none."""
        look = partial(self.client.list_objects_v2, **self.where(), Prefix=self.full(key), MaxKeys=1)

        def ask() -> HeadObjectOutputTypeDef | None:
            try:
                return self.client.head_object(**self.where(key))
            except self.refused as error:
                if says(error, "404", "NoSuchKey"):
                    return None
                if says(error, "400", "403"):
                    # An answer to HEAD has no body that says why.
                    look()
                raise

        found = self.attempt(f"look at {self.name}/{key}", "read", ask)
        if found is None:
            # Any web server says 404. That it was the provider, and that the bucket is there, only an answer with a body shows.
            self.attempt(f"list {self.name}/{key}", "list", look)
        return found


def says(error: Exception, *codes: str) -> bool:
    """Tell whether a refusal has one of these codes."""
    answer = answer_of(error)
    return answer is not None and answer.code in codes
