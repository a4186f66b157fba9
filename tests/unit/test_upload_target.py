"""Where clips go in object storage."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from replay_operator.domain.layout import clip_path
from replay_operator.domain.upload_target import (
    UploadTarget,
    checked_target,
    object_key,
    object_tags,
    object_url,
)
from replay_operator.settings import UploadSettings
from tests.builders import CAPTURE_UID, NOW

TARGET = UploadTarget(bucket="clips", endpoint="https://s3.example.com", region="us-east-1")


def settings(**values: str | bool) -> UploadSettings:
    return UploadSettings.model_validate({"bucket": "clips", **values})


def test_without_a_bucket_clips_stay_on_the_volume() -> None:
    assert UploadSettings.model_validate({}).target() is None
    assert UploadSettings.model_validate({"bucket": ""}).target() is None


def test_the_settings_make_a_target() -> None:
    made = settings(
        endpoint="http://minio:9000/", prefix="team/clips", tags="tier=cold,team=a b", keep_local_copy=False
    )
    assert made.target() == UploadTarget(
        bucket="clips",
        endpoint="http://minio:9000",
        region="us-east-1",
        prefix="team/clips",
        tags=(("tier", "cold"), ("team", "a b")),
        keep_local_copy=False,
    )


def test_without_an_endpoint_it_is_that_of_aws() -> None:
    target = settings(region="eu-central-1").target()
    assert target is not None
    assert target.endpoint == "https://s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"bucket": "Clips"}, "BUCKET"),
        ({"bucket": "a..b"}, "BUCKET"),
        ({"bucket": "clips/../other"}, "BUCKET"),
        ({"endpoint": "s3.example.com"}, "ENDPOINT"),
        ({"endpoint": "https://s3.example.com/clips"}, "ENDPOINT"),
        ({"endpoint": "https://s3.example.com?x=1"}, "ENDPOINT"),
        ({"prefix": "/clips"}, "PREFIX"),
        ({"prefix": "clips/"}, "PREFIX"),
        ({"prefix": "a/../b"}, "PREFIX"),
        ({"prefix": "x" * 800}, "PREFIX"),
        ({"tags": "replay-owner=me"}, "TAGS"),
        ({"tags": "a=1,a=2"}, "TAGS"),
        ({"tags": "a=\u00fc"}, "TAGS"),
        ({"tags": ",".join(f"t{n}=1" for n in range(9))}, "TAGS"),
    ],
)
def test_what_cannot_be_a_target_is_refused_with_the_variable_to_correct(
    wrong: dict[str, str], named: str
) -> None:
    with pytest.raises(ValidationError, match=f"REPLAY_UPLOAD_{named}"):
        settings(**wrong)


def test_credentials_in_the_endpoint_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match="Secret") as refused:
        settings(endpoint="https://me:hunter2@s3.example.com")
    assert "hunter2" not in str(refused.value)


@given(owner=st.one_of(st.none(), st.text(max_size=253)), name=st.text(max_size=300))
def test_a_key_is_plain_whatever_the_owner_and_the_name_are(owner: str | None, name: str) -> None:
    path = clip_path(namespace="team", owner=owner, day=NOW, name=name, uid=CAPTURE_UID)
    target = UploadTarget(bucket="clips", endpoint="https://x", region="r", prefix="p" * 700)
    key = object_key(checked_target(target), path)
    assert re.fullmatch(r"[A-Za-z0-9._/-]+", key)
    assert len(key) <= 1024


def test_a_clip_has_its_path_as_key_and_the_url_names_it() -> None:
    assert object_key(TARGET, "team/shared/2026-11-23/goal-cafecafe.mp4") == (
        "team/shared/2026-11-23/goal-cafecafe.mp4"
    )
    assert object_url("clips", "a/b.mp4") == "s3://clips/a/b.mp4"


def test_an_object_says_whose_it_is_in_characters_that_every_server_takes() -> None:
    target = UploadTarget(bucket="b", endpoint="e", region="r", tags=(("tier", "cold"),))
    assert object_tags(target, namespace="team", owner="J\u00f6rg & Co") == (
        ("tier", "cold"),
        ("replay-namespace", "team"),
        ("replay-owner", "J-rg-Co"),
    )
    assert object_tags(target, namespace="team", owner=None)[-1] == ("replay-owner", "shared")
