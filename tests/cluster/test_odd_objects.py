"""Generated objects on a real API server: what it admits, the operator can read; nothing makes it fail."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.capture_timing import resolve_range
from tests.cluster.test_replaybuffer_admission import ALICE, TRACKS, buffer
from tests.cluster.test_replaycapture_admission import BETWEEN, LAST, capture
from tests.odd_values import anything, numbers
from tests.odd_values import moments as extreme_moments
from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

many_objects = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

Manifest = dict[str, Any]


class Admission:
    """Asks the API server what it would store, over one connection."""

    def __init__(self, plane: ControlPlane) -> None:
        tls = ssl.create_default_context(cafile=str(plane.pki.ca.certificate))
        admin = plane.pki.pair("admin")
        tls.load_cert_chain(admin.certificate, admin.key)
        host, _, port = plane.url.removeprefix("https://").partition(":")
        self.connection = http.client.HTTPSConnection(host, int(port), context=tls, timeout=30)

    def ask(self, plural: str, manifest: Manifest) -> Manifest | None:
        """Give the object as it would be stored, None when it is refused."""
        path = f"/apis/replaybuffer.dev/v1alpha1/namespaces/default/{plural}?dryRun=All"
        body = json.dumps(manifest).encode()
        self.connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        told: Manifest = json.loads(answer.read())
        assert answer.status in (201, 400, 422), told
        return told if answer.status == 201 else None


@pytest.fixture
def admission(control_plane: ControlPlane, crds: None) -> Iterator[Admission]:
    made = Admission(control_plane)
    yield made
    made.connection.close()


def changed(manifest: Manifest, changes: list[tuple[tuple[str, ...], Any]]) -> Manifest:
    """The object with other values at these places of its spec; a place that is not there is made."""
    made = deepcopy(manifest)
    for path, value in changes:
        place = made["spec"]
        for name in path[:-1]:
            inner = place.get(name)
            place[name] = inner if isinstance(inner, dict) else {}
            place = place[name]
        place[path[-1]] = value
    return made


moments = (
    st.sampled_from(
        [
            "0000-01-01T00:00:00Z",
            "1999-12-31T23:59:59.999Z",
            "2200-01-01T00:00:00Z",
            "2026-05-04t10:00:00z",
            "2026-05-04T10:00:00",
            "2026-05-04 10:00:00Z",
            "2026-05-04T10:00:00,5Z",
            "2026-05-04T10:00:00x123Z",
            "2026-05-04T10:00:00.12345678901234567890Z",
            "2026-05-04T10:00:00+24:00",
            "2026-05-04T10:00:00+99:99",
            "2026-05-04T24:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-05-04T10:00:60Z",
        ]
    )
    | extreme_moments
)
words = st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9._-]{0,70}\n?", fullmatch=True)
values = st.one_of(numbers, moments, words, anything)


def changes(*paths: str) -> st.SearchStrategy[list[tuple[tuple[str, ...], Any]]]:
    places = st.sampled_from([tuple(path.split(".")) for path in paths])
    return st.lists(st.tuples(places, values), min_size=1, max_size=2)


CAPTURE_PLACES = (
    "bufferRef.name",
    "range.last.seconds",
    "range.last.until",
    "range.last.until",
    "range.last.postRollSeconds",
    "range.between.start",
    "range.between.end",
    "whenShort",
    "holes",
    "tail",
    "output.name",
    "output.title",
    "output.thumbnail",
    "deletionPolicy",
    "ttlSecondsAfterFinished",
    "nobody.knows",
)


@many_objects
@example(range_=LAST, changes_=[(("range", "last", "until"), "0000-01-01T00:00:00Z")])
@example(range_=LAST, changes_=[(("range", "last", "until"), "2026-05-04T10:00:00x123Z")])
@example(range_=LAST, changes_=[(("range", "last", "until"), "2026-05-04T10:00:00+99:99")])
@example(range_=LAST, changes_=[(("range", "last", "until"), "9999-12-31T23:59:59.9999999Z")])
@example(range_=BETWEEN, changes_=[(("range", "between", "start"), "0000-01-01T00:00:00Z")])
@given(range_=st.sampled_from([LAST, BETWEEN]), changes_=changes(*CAPTURE_PLACES))
def test_each_capture_that_is_admitted_can_be_read_and_resolved(
    admission: Admission, range_: Manifest, changes_: list[tuple[tuple[str, ...], Any]]
) -> None:
    stored = admission.ask("replaycaptures", changed(capture(range=range_), changes_))
    if stored is not None:
        read = ReplayCapture.model_validate(stored)
        assert resolve_range(read)


BUFFER_PLACES = (
    "room",
    "owner",
    "source.participant.identity",
    "source.participant.video",
    "source.participant.audio",
    "source.tracks.video",
    "source.tracks.audio",
    "windowSeconds",
    "segmentSeconds",
    "encoding.preset",
    "encoding.advanced.width",
    "encoding.advanced.videoKbps",
    "keepAfterEndSeconds",
    "suspend",
    "nobody.knows",
)


@many_objects
@example(source=ALICE, changes_=[(("owner",), "user-42\n")])
@example(source=TRACKS, changes_=[(("source", "tracks", "video"), "TR_VC\n")])
@example(source=ALICE, changes_=[(("windowSeconds",), 600.0), (("segmentSeconds",), 10.0)])
@given(source=st.sampled_from([ALICE, TRACKS]), changes_=changes(*BUFFER_PLACES))
def test_each_buffer_that_is_admitted_can_be_read(
    admission: Admission, source: Manifest, changes_: list[tuple[tuple[str, ...], Any]]
) -> None:
    stored = admission.ask("replaybuffers", changed(buffer(source=source), changes_))
    if stored is not None:
        ReplayBuffer.model_validate(stored)
