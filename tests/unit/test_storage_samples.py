"""manifests/storage: each sample is whole, fits the settings, and has a page that explains its options."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.agent.settings import AgentSettings
from replay_operator.settings import OperatorSettings
from tests.testbed.node.quantities import quantity

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "storage"
PAGES = ROOT / "docs" / "storage"
SERVER = SAMPLES / "nfs-server"
PUBLISHED = "nfsvers=4.1,hard,timeo=600,retrans=2,rsize=1048576,wsize=1048576,async,noatime"
NAMES = sorted(path.parent.name for path in SAMPLES.glob("*/kustomization.yaml"))
ONE_NODE, MANY_NODES = "../topologies/one-node", "../topologies/many-nodes"

Json = dict[str, Any]


def component(sample: str) -> Json:
    found: Json = yaml.safe_load((SAMPLES / sample / "kustomization.yaml").read_text())
    return found


def objects(sample: str, kind: str) -> dict[str, Json]:
    """The storage classes or volumes of a sample, by name."""
    found = yaml.safe_load_all((SAMPLES / sample / "storage.yaml").read_text())
    return {body["metadata"]["name"]: body for body in found if body["kind"] == kind}


def settings_of(directory: Path) -> dict[str, str]:
    body: Json = yaml.safe_load((directory / "settings.yaml").read_text())
    assert (body["kind"], body["metadata"]["name"]) == ("ConfigMap", "replay-operator-settings")
    data: dict[str, str] = body["data"]
    return data


def settings(sample: str) -> dict[str, str]:
    """What the sample sets, its topology included."""
    topologies = [SAMPLES / sample / path for path in component(sample).get("components", [])]
    inherited = [settings_of(path.resolve()) for path in topologies]
    return {
        name: value for data in [*inherited, settings_of(SAMPLES / sample)] for name, value in data.items()
    }


def mount_options(sample: str) -> list[list[str]]:
    """The options of each class and volume, those of a driver's own parameter included."""
    classes = objects(sample, "StorageClass").values()
    volumes = objects(sample, "PersistentVolume").values()
    found = [body.get("mountOptions", []) for body in classes]
    found += [body["spec"].get("mountOptions", []) for body in volumes]
    driver = [body.get("parameters", {}).get("kernelMountOptions", "") for body in classes]
    return [options for options in [*found, *(text.split(",") for text in driver if text)] if options]


def page_of(sample: str) -> Path:
    """The page that leads to a sample's directory."""
    (page,) = [p for p in PAGES.glob("*.md") if f"](../../manifests/storage/{sample})" in p.read_text()]
    return page


def explained(page: Path) -> set[str]:
    """The options that have a row in a table of a page."""
    return set(re.findall(r"^\| `([^`]+)`", page.read_text(), flags=re.MULTILINE))


def claims(sample: str) -> list[str]:
    """Which of the two volumes a sample sets up: BUFFER, ARCHIVE."""
    return [
        volume for volume in ("BUFFER", "ARCHIVE") if f"REPLAY_{volume}_STORAGE_CLASS" in settings(sample)
    ]


CLAIMS = [(sample, volume) for sample in NAMES for volume in claims(sample)]
NFS = [sample for sample in NAMES if sample.startswith("nfs-")]


def test_the_samples_that_were_promised_are_there() -> None:
    promised = (
        "local-nvme-xfs local-nvme-ext4 zfs-dataset zfs-openebs aws-ebs-gp3 gcp-pd-ssd cephfs nfs-csi "
        "nfs-static archive-hdd-local archive-aws-st1 archive-gcp-pd-standard"
    )
    assert set(NAMES) == set(promised.split())


@pytest.mark.parametrize("sample", NAMES)
def test_a_sample_is_a_component_of_the_files_beside_it(sample: str) -> None:
    body = component(sample)
    assert body["kind"] == "Component"
    assert (body["resources"], body["patches"]) == (["storage.yaml"], [{"path": "settings.yaml"}])
    assert objects(sample, "StorageClass")


@pytest.mark.parametrize("sample", NAMES)
def test_the_index_and_the_samples_own_first_line_lead_to_its_page(sample: str) -> None:
    page = page_of(sample)
    assert f"[`{sample}`]({page.name})" in (PAGES / "README.md").read_text()
    first_line = (SAMPLES / sample / "kustomization.yaml").read_text().splitlines()[0]
    assert first_line.endswith(f"docs/storage/{page.name}")


@pytest.mark.parametrize("sample", NAMES)
def test_the_page_explains_every_mount_option_of_the_sample(sample: str) -> None:
    wanted = {option for options in mount_options(sample) for option in options}
    assert wanted - explained(page_of(sample)) == set()


def test_every_option_of_the_nfs_server_is_explained() -> None:
    exports = [line for line in (SERVER / "exports").read_text().splitlines() if line.startswith("/")]
    in_exports = {option for line in exports for option in line.partition("(")[2].rstrip(")").split(",")}
    lines = (SERVER / "nfs.conf").read_text().splitlines()
    in_conf = {line for line in lines if re.match(r"[a-z]", line)}
    assert "threads=64" in in_conf
    assert in_exports | in_conf <= explained(page_of("nfs-server"))


@pytest.mark.parametrize("sample", NFS)
def test_nfs_has_the_published_options_as_they_were_published(sample: str) -> None:
    found = mount_options(sample)
    assert len(found) == 2, "buffers and archive"
    for options in found:
        assert ",".join(options[: PUBLISHED.count(",") + 1]) == PUBLISHED
    assert PUBLISHED in page_of(sample).read_text()


@pytest.mark.parametrize("sample", NFS)
def test_nfs_forgets_what_it_has_seen_before_the_agent_looks_again(sample: str) -> None:
    look_seconds = AgentSettings.model_fields["scan_interval_seconds"].default
    for options in mount_options(sample):
        (cached,) = [option for option in options if option.startswith("actimeo=")]
        assert float(cached.partition("=")[2]) <= look_seconds


def test_clips_are_flushed_for_good_on_the_server_and_keep_their_group() -> None:
    (archive,) = [
        line
        for line in (SERVER / "exports").read_text().splitlines()
        if line.startswith("/export/replay/archive")
    ]
    options = archive.partition("(")[2].rstrip(")").split(",")
    assert "sync" in options, "Ready=True says that the clip is on the disk"
    assert {"root_squash", "anongid=0"} <= set(options), "root_squash alone takes group 0 away"


@pytest.mark.parametrize("sample", NAMES)
def test_the_operator_accepts_what_a_sample_sets(sample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REPLAY_")]:
        monkeypatch.delenv(name)
    base = yaml.safe_load((ROOT / "manifests" / "base" / "settings.yaml").read_text())["data"]
    assert settings(sample).keys() <= base.keys(), "a name that the base does not have is a typing error"
    for name, value in {"POD_NAMESPACE": "replay", **base, **settings(sample)}.items():
        monkeypatch.setenv(name, value)
    read = OperatorSettings()
    assert read.buffer_storage_class == settings(sample).get("REPLAY_BUFFER_STORAGE_CLASS", "")


@pytest.mark.parametrize(("sample", "volume"), CLAIMS)
def test_a_claim_names_a_class_that_comes_with_the_sample(sample: str, volume: str) -> None:
    assert settings(sample)[f"REPLAY_{volume}_STORAGE_CLASS"] in objects(sample, "StorageClass")


@pytest.mark.parametrize("sample", NAMES)
def test_every_class_and_volume_of_a_sample_is_used(sample: str) -> None:
    used = {settings(sample)[f"REPLAY_{volume}_STORAGE_CLASS"] for volume in claims(sample)}
    classes = objects(sample, "StorageClass")
    volumes = objects(sample, "PersistentVolume").values()
    assert set(classes) == used
    static = {name for name, body in classes.items() if body["provisioner"] == "kubernetes.io/no-provisioner"}
    assert sorted(body["spec"]["storageClassName"] for body in volumes) == sorted(static)


@pytest.mark.parametrize(("sample", "volume"), CLAIMS)
def test_a_volume_made_by_hand_fits_its_claim_exactly(sample: str, volume: str) -> None:
    wanted = settings(sample)
    volumes = objects(sample, "PersistentVolume").values()
    for spec in (body["spec"] for body in volumes):
        if spec["storageClassName"] != wanted[f"REPLAY_{volume}_STORAGE_CLASS"]:
            continue
        assert spec["accessModes"] == [wanted[f"REPLAY_{volume}_ACCESS_MODE"]]
        asked = quantity(wanted[f"REPLAY_{volume}_CLAIM_SIZE"])
        assert quantity(spec["capacity"]["storage"]) == asked, "nothing could grow it"
        assert spec["persistentVolumeReclaimPolicy"] == "Retain"


@pytest.mark.parametrize("sample", [sample for sample, volume in CLAIMS if volume == "ARCHIVE"])
def test_no_archive_is_deleted_with_its_claim(sample: str) -> None:
    name = settings(sample)["REPLAY_ARCHIVE_STORAGE_CLASS"]
    assert objects(sample, "StorageClass")[name]["reclaimPolicy"] == "Retain"


@pytest.mark.parametrize("sample", [sample for sample, volume in CLAIMS if volume == "BUFFER"])
def test_the_access_mode_of_the_buffers_comes_with_its_topology(sample: str) -> None:
    (topology,) = component(sample)["components"]
    expected = {ONE_NODE: "ReadWriteOnce", MANY_NODES: "ReadWriteMany"}[topology]
    assert settings(sample)["REPLAY_BUFFER_ACCESS_MODE"] == expected
    assert f"`{sample}`" in (PAGES / "topologies.md").read_text()


@pytest.mark.parametrize("sample", NAMES)
def test_a_disk_that_serves_one_node_waits_for_the_pod_that_needs_it(sample: str) -> None:
    many_nodes = MANY_NODES in component(sample).get("components", [])
    mode = "Immediate" if many_nodes else "WaitForFirstConsumer"
    modes = {body["volumeBindingMode"] for body in objects(sample, "StorageClass").values()}
    assert modes == {mode}


@pytest.mark.parametrize("sample", NAMES)
def test_a_disk_of_a_node_names_its_node(sample: str) -> None:
    for body in objects(sample, "PersistentVolume").values():
        spec = body["spec"]
        assert ("local" in spec) == ("nodeAffinity" in spec)


def test_the_fleet_of_one_node_has_one_size() -> None:
    body = yaml.safe_load((SAMPLES / "topologies" / "one-node" / "kustomization.yaml").read_text())
    (patch,) = [yaml.safe_load(patch["patch"]) for patch in body["patches"] if "patch" in patch]
    fleet_max = settings_of(SAMPLES / "topologies" / "one-node")["REPLAY_FLEET_MAX"]
    assert patch == [{"op": "replace", "path": "/spec/maxReplicas", "value": int(fleet_max)}]


def seen_late_seconds(segment_seconds: int, least_seconds: int, most_seconds: int) -> int:
    """How late a look each second may see a change, through the attribute cache of Linux' NFS client.

    It asks the server again after the least time, and after twice as long at each answer without news
    (`nfs_update_inode`, fs/nfs/inode.c). Counted in tenths of a second, for every phase of the changes.
    """
    latest = 0
    for phase in range(1, 10 * segment_seconds):
        asked_at, waits, seen = 0, 10 * least_seconds, -1
        for now in range(0, 6000, 10):
            if now - asked_at < waits:
                continue
            newest = (now - phase) // (10 * segment_seconds)
            if newest > seen >= 0:
                latest = max(latest, now - phase - (seen + 1) * 10 * segment_seconds)
            waits = 10 * least_seconds if newest > seen else min(2 * waits, 10 * most_seconds)
            asked_at, seen = now, newest
    return -(-latest // 10)


@pytest.mark.parametrize("segment_seconds", [2, 4, 6, 10, 15])
def test_the_table_of_what_nfs_shows_late_is_what_its_rule_gives(segment_seconds: int) -> None:
    lines = page_of("nfs-static").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| {segment_seconds} |")]
    late, ours, first, dead_after = (cell.strip(" *") for cell in row.split("|")[2:-1])
    assert late == f"{seen_late_seconds(segment_seconds, 3, 60)} s"
    assert int(ours.split()[0]) >= seen_late_seconds(segment_seconds, 1, 1)
    assert (first, dead_after) == ("30 s", f"{2 * segment_seconds + 12} s")
