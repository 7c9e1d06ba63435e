"""The connection to a provider that speaks S3, depending on nothing but its settings and the certificates this host trusts."""

from __future__ import annotations

import os
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgkeeper.off_site_settings import BucketSettings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_CONNECTIONS = 10
_USUAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
# In botocore's order: name in a file, variable in the environment, value if neither is there, conversion.
_OURS = {
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "profile": (None, None, None, None),
}


def connect(settings: BucketSettings) -> S3Client:
    """Return a client, for several threads. No request is made, unless credentials come from a role of the machine.

    Files and variables that configure AWS's own tools are not looked at: which bucket, which key and which address, the settings say.
    """
    import boto3
    import botocore.session
    from botocore.config import Config

    session = botocore.session.Session(session_vars=_OURS)
    session.register_component("data_loader", _loader())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
    if settings.key_id.get_secret_value():
        session.set_credentials(settings.key_id.get_secret_value(), settings.key.get_secret_value())
    else:
        # What is left asks the machine for its role.
        credentials = session.get_component("credential_provider")
        for source in ("env", "boto-config"):
            credentials.remove(source)
    return boto3.session.Session(botocore_session=session).client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url or None,
        # Owners put authorities of their own into the system's bundle.
        verify=str(_TRUSTED) if _TRUSTED.exists() else True,
        config=Config(  # type: ignore[call-arg]  # the stubs are older
            signature_version="s3v4",
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            # What fails is tried again in one place only, with more patience than botocore has: see patience.py.
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            ignore_configured_endpoint_urls=True,
            # See providers.py; a body is sent with its MD5, so signing it as well would only mean reading it twice.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if settings.endpoint_url else "auto", "payload_signing_enabled": False},
        ),
    )


def _time(value: Any) -> datetime:  # noqa: ANN401 - botocore declares no types
    """Return a time in an answer. Of a long list they take botocore longer to understand than all else, since it expects any form."""
    from botocore.utils import parse_timestamp

    if isinstance(value, str) and _USUAL_TIME.fullmatch(value):
        return datetime.fromisoformat(value)
    found: datetime = parse_timestamp(value)
    return found


@cache
def _loader() -> Any:  # noqa: ANN401 - botocore declares no types
    """Return what reads botocore's descriptions of services, which takes longer than all else, and is the same for all buckets."""
    import botocore.loaders

    return botocore.loaders.create_loader()
