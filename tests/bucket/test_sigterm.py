"""SIGTERM ends an upload and a removal, also at the instants at which Python cannot raise for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bucket.upload_hit_by_sigterm import SIGNATURE, STEP
from tests.bucket.upload_process import end_of, make_request, removal_of, start

_NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize("instant", [STEP, SIGNATURE])
@pytest.mark.parametrize("removes", [False, True], ids=["upload", "removal"])
async def test_sigterm_ends_the_process_at_whatever_instant_it_comes(
    tmp_path: Path, instant: str, *, removes: bool
) -> None:
    upload = make_request(tmp_path / "archive", _NOBODY, size_bytes=1)
    request = removal_of(upload) if removes else upload
    program = ("tests.bucket.upload_hit_by_sigterm", instant)
    process = await start(request, tmp_path / "termination", program=program)
    assert (await end_of(process))[0] == 143
