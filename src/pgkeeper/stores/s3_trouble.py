"""What went wrong with a request, in words an owner can act on, and whether it may pass."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pgkeeper.model.errors import PgkeeperError
from pgkeeper.off_site_settings import BucketSettings
from pgkeeper.stores.bucket import BucketRefusedError, BucketUnreachableError, ObjectLockedError
from pgkeeper.stores.providers import Right, missing_right, quirks
from pgkeeper.stores.s3_answers import NotTheAnswerError
from pgkeeper.stores.setting_names import address_name, credential_names, storage_class_name

_PASSING = frozenset({
    "BadDigest", "IncompleteBody", "InternalError", "OperationAborted", "RequestLimitExceeded", "RequestTimeout", "RequestTimeoutException",
    "ServerBusy", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "XAmzContentSHA256Mismatch",
})  # fmt: skip
_WRONG_REGION = frozenset({"301", "307", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})
_DENIED = frozenset({"403", "AccessDenied", "Forbidden", "Unauthorized", "UnauthorizedAccess"})
_CAP = re.compile(r"\bcap exceeded|cap_exceeded", re.IGNORECASE)
_LOCKED = re.compile(r"object.?lock|WORM|retention policy|under retention|legal hold|under active .*hold", re.IGNORECASE)
_LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Answer:
    """What a provider answered when it refused. `details` is what its document says, code and message as well.

    `cut`: there should have been a document, and there was none that could be read.
    """

    code: str
    message: str
    status: int
    details: Mapping[str, str]
    headers: Mapping[str, str]
    cut: bool

    @property
    def date(self) -> datetime | None:
        """Return what time it was at the provider, as far as it said so."""
        return date_of(self.headers)


@dataclass(frozen=True)
class Trouble:
    """What a failed request means: the error to raise, whether it may pass, and for how many seconds to `wait` at least."""

    error: PgkeeperError
    passes: bool
    wait: float = 0.0


def expected_errors() -> tuple[type[Exception], ...]:
    """Return what botocore and the libraries below it raise when a request fails."""
    from http.client import HTTPException

    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    return (BotoCoreError, ClientError, ResponseParserError, HTTPError, HTTPException, OSError)


def answer_of(error: Exception) -> Answer | None:
    """Return what the provider answered, None where there was no answer."""
    response: dict[str, Any] | None = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    document = {name: str(value) for name, value in response.get("Error", {}).items()}
    metadata = response.get("ResponseMetadata", {})
    return Answer(
        code=document.get("Code", ""),
        message=document.get("Message", ""),
        status=int(metadata.get("HTTPStatusCode", 0)),
        details=document,
        headers=metadata.get("HTTPHeaders", {}),
        # botocore then puts the status in the code's place, as it does for HEAD, whose answers have no body.
        cut=document.get("Code", "") in {"", str(metadata.get("HTTPStatusCode"))}
        and not getattr(error, "operation_name", "").startswith("Head"),
    )


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the time in an answer's `Date`, None when there is none that can be read."""
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None


def understand(error: Exception, what: str, settings: BucketSettings, right: Right) -> Trouble:
    """Return what `error` means; `what` was tried ("cannot write s3://…"), and takes the right `right`."""
    answer = answer_of(error)
    if answer is None:
        return _unanswered(error, what, settings)
    if _may_pass(answer):
        why = f"{quirks(settings.provider).title} answered {_said(answer, settings)}"
        # A provider says why it refuses; somebody else in its place says something that is no document of S3.
        hint = _not_the_bucket_hint(settings) if answer.cut and answer.status < 500 else "try again later"
        return Trouble(BucketUnreachableError(what, why, hint), passes=True, wait=_asked_to_wait(answer))
    return Trouble(_refusal(answer, what, settings, right), passes=False)


def _may_pass(answer: Answer) -> bool:
    if _CAP.search(answer.message):
        return False
    return answer.cut or answer.code in _PASSING or answer.status in {408, 429} or (answer.status >= 500 and answer.status != 501)


def _asked_to_wait(answer: Answer) -> float:
    try:
        return min(float(answer.headers.get("retry-after", 0)), _LONGEST_WAIT)
    except ValueError:
        return 0.0


def _refusal(answer: Answer, what: str, settings: BucketSettings, right: Right) -> PgkeeperError:
    words = " ".join((answer.code, answer.message, answer.details.get("Details", "")))
    if _LOCKED.search(words):
        return ObjectLockedError(what, "an object lock or a retention policy holds it", "it can be changed when its time is over")
    if _CAP.search(words):
        return BucketRefusedError(what, f"a cap is reached: {_said(answer, settings)}", "raise it in Backblaze's Caps & Alerts")
    why, hint = _reason(answer, settings, right)
    return BucketRefusedError(what, why, hint)


def _reason(answer: Answer, settings: BucketSettings, right: Right) -> tuple[str, str]:
    """Return why the provider says no, and what to do."""
    bucket, key_id, key = credential_names(settings)
    code = answer.code
    if code == "InvalidAccessKeyId":
        return "the provider does not know the key id", f"check {key_id}, and whether the key still exists"
    if code == "SignatureDoesNotMatch":
        return "the key is not the one that belongs to the key id", f"check {key}"
    if code in _EXPIRED:
        return "the credentials have expired", f"put new ones into {key_id} and {key}, or look at the machine's role"
    if code in _DENIED:
        return f"access denied; the key lacks {missing_right(settings.provider, right)}", f"allow it for bucket {settings.bucket}"
    if code == "NoSuchBucket":
        return f"there is no bucket {settings.bucket}", f"check {bucket}, or make the bucket"
    if code == "RequestTimeTooSkewed":
        return f"this host's clock is {_apart(answer)}", "set the clock (timedatectl), and see that NTP runs"
    if code in _WRONG_REGION:
        return f"bucket {settings.bucket} is not in region {settings.region}", _region_hint(answer, settings)
    if code == "InvalidObjectState":
        return "the object is in an archive and must be brought back first", "restore it in the provider's console, then try again"
    if code == "InvalidStorageClass":
        return f"the provider has no storage class {settings.storage_class}", f"check {storage_class_name(settings)}"
    return f"{quirks(settings.provider).title} answered {_said(answer, settings)}", ""


def _said(answer: Answer, settings: BucketSettings) -> str:
    """Return an answer's own words, without what is secret."""
    words = " ".join(word for word in (str(answer.status), answer.code, answer.message[:200]) if word)
    return _without_secrets(words, settings)


def _without_secrets(words: str, settings: BucketSettings) -> str:
    for secret in (settings.key.get_secret_value(), settings.key_id.get_secret_value()):
        words = words.replace(secret, "***") if secret else words
    return words


def _apart(answer: Answer) -> str:
    """Return how far our clock is from the provider's."""
    try:
        theirs = datetime.fromisoformat(answer.details["ServerTime"])
    except (KeyError, ValueError):
        theirs = answer.date or datetime.now(UTC)
    ahead = round((datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds())
    return f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} the provider's"


def _region_hint(answer: Answer, settings: BucketSettings) -> str:
    name = address_name(settings)
    told = answer.details.get("Region") or answer.headers.get("x-amz-bucket-region", "")
    if told:
        return f"it is in {told}; set {name} accordingly"
    other = answer.details.get("Endpoint", "")
    return f"its address is {other}; set {name} accordingly" if other else f"check {name}"


def _not_the_bucket_hint(settings: BucketSettings) -> str:
    bucket, _key_id, _key = credential_names(settings)
    return f"see what answers there: a proxy, a login page, another service? Check {address_name(settings)} and {bucket}"


def _unanswered(error: Exception, what: str, settings: BucketSettings) -> Trouble:
    from botocore.exceptions import CredentialRetrievalError, NoCredentialsError, ParamValidationError
    from urllib3.util.ssl_match_hostname import CertificateError

    host = settings.endpoint_url or f"AWS in {settings.region}"
    if isinstance(error, NotTheAnswerError):
        why = _without_secrets(f"{host} gave another answer than to what was asked: {error}", settings)
        return Trouble(BucketUnreachableError(what, why, _not_the_bucket_hint(settings)), passes=not error.lasting)
    causes = tuple(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError | CertificateError):
            hint = "if the authority is your own, put it in /usr/local/share/ca-certificates and run update-ca-certificates"
            return Trouble(
                BucketRefusedError(what, f"{host} is not trusted: {getattr(cause, 'verify_message', cause)}", hint), passes=False
            )
    if isinstance(error, NoCredentialsError | CredentialRetrievalError):
        _bucket, key_id, key = credential_names(settings)
        why = "there are no credentials: no keys are set, and this machine has no role that AWS knows"
        return Trouble(BucketRefusedError(what, why, f"set {key_id} and {key}"), passes=isinstance(error, CredentialRetrievalError))
    if isinstance(error, ParamValidationError):
        return Trouble(BucketRefusedError(what, _without_secrets(" ".join(str(error).split()), settings)), passes=False)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        why = f"the name of {host} is not resolved"
        return Trouble(BucketUnreachableError(what, why, "check the address, and this host's DNS"), passes=True)
    hint = "check this host's way to the internet, then try again"
    # What the system said is clearer than what the libraries above make of it.
    said = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    why = _without_secrets(f"{host} does not answer: {said}"[:300], settings)
    return Trouble(BucketUnreachableError(what, why, hint), passes=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that is behind it; libraries keep that in different places."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            kept = getattr(one, "kwargs", {})
            waiting += [*one.args, one.__context__, one.__cause__, getattr(one, "reason", None), kept.get("error") if kept else None]
