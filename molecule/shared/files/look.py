#!/usr/bin/env python3
"""Say what is in the bucket, as somebody sees it who has the bucket and no key to its content.

look.py CONFIGURATION WORD...     prints a JSON list of the objects, by name: name, size, when (of its last change), begins (its first
8 bytes), words (those of the words given that are in it), and header where it is a copy's manifest.json. The configuration is store.py's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config


def describe(item: dict[str, Any], content: bytes, words: list[str]) -> dict[str, Any]:
    """One object."""
    found = {
        "name": item["Key"],
        "size": item["Size"],
        "when": item["LastModified"].isoformat(),
        "begins": content[:8].decode("latin-1"),
        "words": [word for word in words if word.encode() in content],
    }
    if item["Key"].endswith("/manifest.json"):
        found["header"] = json.loads(content)
    return found


def main() -> None:
    """Print the list."""
    configuration = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:5000",
        region_name="us-east-1",
        aws_access_key_id=configuration["key_id"],
        aws_secret_access_key=configuration["key"],
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=configuration["bucket"]):
        for item in page.get("Contents", []):
            content = client.get_object(Bucket=configuration["bucket"], Key=item["Key"])["Body"].read()
            found.append(describe(dict(item), content, sys.argv[2:]))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
