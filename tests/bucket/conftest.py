"""One S3 server for each test that asks for it, with an empty bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bucket.server import S3Server, start_s3_server
from tests.testbed.children import Children


@pytest.fixture
def s3_server(s3_server_binary: Path, tmp_path: Path) -> Iterator[S3Server]:
    data = tmp_path / "s3"
    data.mkdir()
    with Children(tmp_path / "s3-logs") as children:
        yield start_s3_server(s3_server_binary, children, data)
