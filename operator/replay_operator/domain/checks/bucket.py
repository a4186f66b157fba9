"""The check of object storage: the bucket answers where uploads look for it."""

from __future__ import annotations

from http import HTTPStatus

from replay_operator.domain.checks.facts import BucketFacts, Facts
from replay_operator.domain.checks.verdict import Unseen, Verdict, failed, not_seen, passed, warned

_PAGE = "docs/operations.md, REPLAY_UPLOAD_*"


def check_bucket(facts: Facts) -> Verdict:
    """Without credentials nobody can be told more than that a bucket is missing."""
    bucket = facts.bucket
    if isinstance(bucket, Unseen):
        return not_seen(bucket)
    if bucket is None:
        return passed("clips stay on the archive volume: REPLAY_UPLOAD_BUCKET is not set")
    return _answer(bucket)


def _answer(bucket: BucketFacts) -> Verdict:
    match bucket.status:
        case None:
            return failed(
                f"{bucket.endpoint} does not answer",
                f"check REPLAY_UPLOAD_ENDPOINT, its name, and network policies of this pod ({_PAGE})",
            )
        case HTTPStatus.NOT_FOUND:
            return failed(
                f"{bucket.endpoint} says that there is no bucket {bucket.name}",
                f"make it, or mend REPLAY_UPLOAD_BUCKET ({_PAGE})",
            )
        case HTTPStatus.MOVED_PERMANENTLY | HTTPStatus.TEMPORARY_REDIRECT:
            return failed(
                f"{bucket.endpoint} says that the bucket {bucket.name} is elsewhere: uploads do not follow",
                f"give REPLAY_UPLOAD_REGION, or the endpoint of its region ({_PAGE})",
            )
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return warned(f"{bucket.endpoint} answered with {status}", "look into the log of that server")
    return passed(f"{bucket.endpoint} answers for the bucket {bucket.name}; captures tell of the credentials")
