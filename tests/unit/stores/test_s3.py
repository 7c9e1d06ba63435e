"""A bucket at each provider, over good lines and bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from pgkeeper.off_site_settings import Provider
from pgkeeper.stores.bucket import Bucket
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.s3 import S3Bucket
from tests.contracts.bucket import BucketContract
from tests.integration.support.http_proxy import http_proxy
from tests.integration.support.object_storage import bucket_settings, make_bucket
from tests.integration.support.strict_provider import STRICT

PATIENT = Patience(seconds=20, first_pause=0.01, longest_pause=0.05)
HASTY = Patience(seconds=0.2, first_pause=0.01, longest_pause=0.05)


@pytest.fixture(params=get_args(Provider))
def provider(request: pytest.FixtureRequest) -> Provider:
    return request.param  # type: ignore[no-any-return]


class TestStrictProvider(BucketContract):
    """The whole contract, at providers as strict as the real ones."""

    @pytest.fixture
    def bucket(self, storage: str, provider: Provider) -> Iterator[Bucket]:
        with http_proxy(storage, STRICT[provider]()) as proxy:
            yield S3Bucket(bucket_settings(proxy.url, make_bucket(storage), provider), HASTY)
