"""Where clips go in object storage: bucket, keys, tags. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from replay_operator.domain.layout import sanitise

NAMESPACE_TAG = "replay-namespace"
OWNER_TAG = "replay-owner"
_OWN_TAGS = 2

_MOST_TAGS = 10
"""S3 takes ten tags of an object."""

_MOST_KEY_BYTES = 1024
_LONGEST_CLIP_PATH = 63 + 1 + 100 + 1 + 10 + 1 + 113
"""Namespace, owner, date, and `<name>-<short uid>.mp4`: see `layout.clip_path`."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_TAG = re.compile(r"[A-Za-z0-9 +=._:/@-]{1,128}")
"""What every S3 takes in a tag's name; values may be twice as long."""


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """The bucket of an install.

    Attributes:
        bucket: Its name.
        endpoint: Base URL of the S3 API.
        region: What requests are signed for.
        prefix: Comes before each key, without slashes at its ends; empty: nothing does.
        tags: Given to each object, for lifecycle rules.
        keep_local_copy: Whether the clip stays on the archive volume too.
    """

    bucket: str
    endpoint: str
    region: str
    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    keep_local_copy: bool = True


def checked_target(target: UploadTarget) -> UploadTarget:
    """Give the target back when it can be one.

    Raises:
        ValueError: With the variable to correct.
    """
    if not _BUCKET.fullmatch(target.bucket) or ".." in target.bucket:
        raise ValueError("REPLAY_UPLOAD_BUCKET is a bucket's name: 3 to 63 of a-z, 0-9, '.' and '-'")
    parts = urlsplit(target.endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("REPLAY_UPLOAD_ENDPOINT is a URL such as https://s3.example.com")
    if parts.username is not None or parts.password is not None:
        # Not the value: it holds a secret.
        raise ValueError("REPLAY_UPLOAD_ENDPOINT holds a user or password: credentials come from a Secret")
    if parts.path not in ("", "/"):
        raise ValueError("REPLAY_UPLOAD_ENDPOINT has a path: give it as REPLAY_UPLOAD_PREFIX")
    if target.prefix and not _prefix_is_plain(target.prefix):
        raise ValueError(
            "REPLAY_UPLOAD_PREFIX is a path such as team/clips: letters, digits, '.', '_' and '-', at most "
            f"{_MOST_KEY_BYTES - _LONGEST_CLIP_PATH - 1} characters, no '.' or '..' alone between slashes"
        )
    if len(target.tags) > _MOST_TAGS - _OWN_TAGS:
        raise ValueError(
            f"REPLAY_UPLOAD_TAGS has more than {_MOST_TAGS - _OWN_TAGS} tags: S3 takes ten, two are ours"
        )
    names = [name for name, _ in target.tags]
    if len({*names, NAMESPACE_TAG, OWNER_TAG}) != len(names) + _OWN_TAGS:
        raise ValueError(f"REPLAY_UPLOAD_TAGS names a tag twice; {NAMESPACE_TAG} and {OWNER_TAG} are ours")
    if not all(_TAG.fullmatch(name) and _TAG.fullmatch(value) for name, value in target.tags):
        raise ValueError("REPLAY_UPLOAD_TAGS is name=value,name=value of letters, digits and ' +-._:/@'")
    return target


def object_key(target: UploadTarget, clip_path: str) -> str:
    """Give the key of a clip: its path on the archive volume, below the prefix.

    Args:
        target: The bucket.
        clip_path: As `layout.clip_path` gives it.
    """
    return f"{target.prefix}/{clip_path}" if target.prefix else clip_path


def object_url(bucket: str, key: str) -> str:
    """Give `status.clip.url`: the name of an object that every S3 tool takes, whatever the endpoint."""
    return f"s3://{bucket}/{key}"


def key_in_bucket(url: str, bucket: str) -> str | None:
    """Give the key of an object of a bucket, or None when it is in another one.

    Args:
        url: As `object_url` gives it.
        bucket: Which one.
    """
    prefix = object_url(bucket, "")
    return url.removeprefix(prefix) if url.startswith(prefix) else None


def object_tags(target: UploadTarget, *, namespace: str, owner: str | None) -> tuple[tuple[str, str], ...]:
    """Give the tags of a clip, for lifecycle rules. What may change later is not among them.

    Args:
        target: The bucket.
        namespace: Of the capture.
        owner: Of the buffer; as in the path, because a tag takes fewer characters than a label.
    """
    owners = sanitise(owner) if owner else "shared"
    return (*target.tags, (NAMESPACE_TAG, namespace), (OWNER_TAG, owners))


def _prefix_is_plain(prefix: str) -> bool:
    dots = any(part in (".", "..") for part in prefix.split("/"))
    fits = len(prefix) + 1 + _LONGEST_CLIP_PATH <= _MOST_KEY_BYTES
    return _PREFIX.fullmatch(prefix) is not None and not dots and fits
