"""Upload one file with boto3 as it comes: `plain_upload.py URL BUCKET FILE`. Prints how many seconds the call took, as JSON."""

import json
import sys
import time
from pathlib import Path

import boto3

if __name__ == "__main__":
    url, bucket, file = sys.argv[1:]
    client = boto3.client("s3", endpoint_url=url)
    began = time.monotonic()
    client.upload_file(file, bucket, Path(file).name)
    print(json.dumps({"seconds": time.monotonic() - began}))
