"""A chart's archive with the time of the commit: helm writes that of its making. Pure."""

from __future__ import annotations

import gzip
import io
import tarfile


def with_times(archive: bytes, seconds: int) -> bytes:
    """Write a `.tgz` again, in the order of its names and with one time for all of it.

    Args:
        archive: What `helm package` wrote.
        seconds: Unix time.
    """
    plain = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as read,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as written,
    ):
        for member in sorted(read.getmembers(), key=lambda member: member.name):
            member.mtime = seconds
            written.addfile(member, read.extractfile(member))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=seconds) as zipped:
        zipped.write(plain.getvalue())
    return packed.getvalue()
