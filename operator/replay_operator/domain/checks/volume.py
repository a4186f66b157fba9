"""Checks of the volumes as the agent sees them: rights, mount options, space."""

from __future__ import annotations

from collections.abc import Iterator

from replay_operator.api.agent import VolumeSpace
from replay_operator.api.volume_facts import VolumeFacts
from replay_operator.domain.checks.facts import Facts
from replay_operator.domain.checks.objects import PodFacts
from replay_operator.domain.checks.verdict import Unseen, Verdict, failed, not_seen, passed, together, warned
from replay_operator.domain.network_file_systems import NFS, is_over_network

LOCAL_FILE_SYSTEMS = ("xfs", "ext4", "zfs", "btrfs", "f2fs", "ext3")
CLUSTER_FILE_SYSTEMS = ("ceph", "fuse.ceph", "lustre", "gpfs")
NFS_TRANSFER_BYTES = 1024 * 1024
"""rsize and wsize of the published mount options: a segment of 10 s at 6 Mbit/s is eight such calls."""

SEEN_AFTER_SECONDS = 1
"""How long an NFS client may believe what it knows of a file that another node writes."""

SAFE_SEGMENT_SECONDS = 10
"""With the client's own 30 s, a run of shorter segments counts as dead before its first playlist is seen."""

LITTLE_SHARE = 0.15
VERY_LITTLE_SHARE = 0.05
"""Of a volume's bytes or i-nodes. A file system is slow long before it is full."""

SOON_SECONDS = 3600
"""Time for a person to act."""

_SETGID = 0o2000
_GIB = 1024**3
_MOUNT_OPTIONS = "mountOptions of the StorageClass or PersistentVolume; then start the pods again"


def _buffer(facts: Facts) -> VolumeFacts | Verdict:
    if isinstance(facts.agent, Unseen):
        return not_seen(facts.agent)
    if facts.agent.buffer is None:
        return failed("the agent cannot read the buffer volume", "look into its log and at the claim")
    return facts.agent.buffer


def check_writable(facts: Facts) -> Verdict:
    """The agent may write to the buffer volume, and the workers are in the group that may."""
    volume = _buffer(facts)
    if isinstance(volume, Verdict):
        return volume
    verdicts = [*_rights(volume), *_archive_rights(facts), *_group(facts, volume)]
    owner = f"{volume.owner_uid}:{volume.owner_gid}, mode {volume.mode}"
    return together(verdicts, f"root of {volume.path} is of {owner}; the workers share its group")


def _rights(volume: VolumeFacts) -> Iterator[Verdict]:
    owner = f"its root is of {volume.owner_uid}:{volume.owner_gid}, mode {volume.mode}"
    if "ro" in volume.options:
        yield failed(
            f"{volume.path} is mounted read-only", "mount it rw; a file system turns ro after errors"
        )
    elif not volume.writable:
        yield failed(
            f"the agent may not write to {volume.path}: {owner}",
            "fsGroup: 0 in the pods; over NFS export a directory that group 0 may write, no root_squash into "
            "another group",
        )


def _archive_rights(facts: Facts) -> Iterator[Verdict]:
    if isinstance(facts.agent, Unseen):
        return
    if facts.agent.archive is None:
        yield failed("the agent cannot read the archive volume", "look into its log and at the claim")
    else:
        yield from _rights(facts.agent.archive)


def _group(facts: Facts, volume: VolumeFacts) -> Iterator[Verdict]:
    """Run directories have mode 2775 and the group of the root, if that is setgid: workers must be in it."""
    agents = () if isinstance(facts.agent_pods, Unseen) else facts.agent_pods
    group = volume.owner_gid if int(volume.mode, 8) & _SETGID else next(map(_primary, agents), 0)
    for pod in () if isinstance(facts.workers, Unseen) else facts.workers:
        groups = {_primary(pod), *pod.groups}
        if not pod.terminating and group not in groups:
            yield failed(
                f"workers are in group {', '.join(map(str, sorted(groups)))}, directories of runs belong to "
                f"group {group}",
                "give agent and workers one group: runAsGroup and fsGroup as in manifests/base/fleet.yaml",
            )
            return


def _primary(pod: PodFacts) -> int:
    """Give the group that a pod's files get. Where the manifest is silent the image decides: 0 in both."""
    return pod.run_as_group or 0


def check_mount_options(facts: Facts) -> Verdict:
    """The options fit many writes by several hosts: noatime, and NFS hard, 4.1, seen soon, locked for all."""
    volume = _buffer(facts)
    if isinstance(volume, Verdict):
        return volume
    return together(_options(volume, facts), ",".join(volume.options))


def _options(volume: VolumeFacts, facts: Facts) -> Iterator[Verdict]:
    options = dict(option.partition("=")[::2] for option in volume.options)
    if volume.file_system in NFS:
        yield from _nfs(options)
        yield from _seen_late(options, facts)
    elif not is_over_network(volume.file_system) and "noatime" not in options:
        # A network client leaves access times to its server, where nobody here can look.
        yield warned(
            f"{volume.path} is mounted without noatime: reading a segment writes to the disk",
            f"noatime in {_MOUNT_OPTIONS}",
        )


def _nfs(options: dict[str, str]) -> Iterator[Verdict]:
    if "soft" in options or "softerr" in options:
        yield failed("NFS is mounted soft: a slow server becomes a lost segment", f"hard in {_MOUNT_OPTIONS}")
    if "nolock" in options or options.get("local_lock") in ("all", "flock"):
        yield failed(
            "locks hold on one node only: two agents on two nodes would both delete",
            f"neither nolock nor local_lock in {_MOUNT_OPTIONS}",
        )
    version = options.get("vers", "")
    if not version.startswith("4.") or version == "4.0":
        yield warned(
            f"NFS {version or 'of unknown version'}: 4.1 has sessions, so that a repeated call is done once",
            f"nfsvers=4.1 in {_MOUNT_OPTIONS}",
        )
    for name in ("rsize", "wsize"):
        size = options.get(name, "")
        if not size.isdigit() or int(size) < NFS_TRANSFER_BYTES:
            yield warned(
                f"{name} is {size or 'unknown'}: {NFS_TRANSFER_BYTES} takes fewer calls",
                f"{name}={NFS_TRANSFER_BYTES} in {_MOUNT_OPTIONS}, and a server that allows it",
            )


def _seen_late(options: dict[str, str], facts: Facts) -> Iterator[Verdict]:
    """What a worker writes must be seen before its run is taken for dead."""
    times = [options.get(name, options.get("actimeo", "")) for name in ("acregmax", "acdirmax")]
    if "noac" in options or all(time.isdigit() and int(time) <= SEEN_AFTER_SECONDS for time in times):
        return
    mend = f"actimeo={SEEN_AFTER_SECONDS} in {_MOUNT_OPTIONS}"
    segment_seconds = 0 if isinstance(facts.choices, Unseen) else facts.choices.segment_seconds
    if segment_seconds < SAFE_SEGMENT_SECONDS:
        yield failed(
            f"without actimeo={SEEN_AFTER_SECONDS} a run's first playlist is seen up to 30 s late: with "
            f"segments of {segment_seconds} s it is taken for dead before, and started again",
            mend,
        )
    else:
        yield warned(f"without actimeo={SEEN_AFTER_SECONDS} segments are seen up to 12 s late", mend)


def check_file_system(facts: Facts) -> Verdict:
    """The buffer volume is a volume, with a file system that is known to do."""
    volume = _buffer(facts)
    if isinstance(volume, Verdict):
        return volume
    kind = f"{volume.file_system} from {volume.source}"
    if volume.mount_point != volume.path:
        return failed(
            f"nothing is mounted at {volume.path}: it is a directory of {volume.mount_point} ({kind})",
            "mount the buffer claim in the agent (manifests/base/agent.yaml)",
        )
    if volume.file_system in ("overlay", "tmpfs", "ramfs"):
        return warned(
            f"{volume.path} is {kind}: it is gone with the pod or fills its memory",
            "take a StorageClass with a disk behind it",
        )
    if volume.file_system not in LOCAL_FILE_SYSTEMS + NFS + CLUSTER_FILE_SYSTEMS:
        return warned(
            f"{volume.path} is {kind}, which nobody has tried",
            "docs/storage has those that were; watch replay_agent_scan_seconds",
        )
    return passed(kind)


def check_space(facts: Facts) -> Verdict:
    """There are bytes left on both volumes; the buffer volume keeps its floor and is not about to fill."""
    if isinstance(facts.agent, Unseen) or facts.agent.space is None or facts.agent.archive is None:
        return _share_left(facts, "bytes")
    space, archive = facts.agent.space, _left(facts.agent.archive, "bytes")
    said = (
        f"{space.free_bytes / _GIB:.1f} of {space.size_bytes / _GIB:.1f} GiB free on the buffer volume, "
        f"its floor is {space.floor_bytes / _GIB:.1f}"
    )
    return together([*_floor(space, said), archive], f"{said}; {archive.message}")


def _floor(space: VolumeSpace, said: str) -> Iterator[Verdict]:
    """A share says little where others write too, or a disk is large: the floor is what counts."""
    grow = "grow the claim, or shorten windows"
    if space.missing_bytes:
        yield failed(f"{said}; nothing more may go: what is left is pinned, or newest of a recording", grow)
    elif space.free_bytes < space.floor_bytes:
        yield failed(f"{said}: segments inside their windows are deleted", grow)
    elif space.free_bytes < 2 * space.floor_bytes:
        yield warned(f"{said}: near it, segments inside their windows go", grow)
    elif space.full_in_seconds is not None and space.full_in_seconds < SOON_SECONDS:
        yield warned(f"{said}; it will be full in {space.full_in_seconds / 60:.0f} minutes", grow)


def check_inodes(facts: Facts) -> Verdict:
    """There are i-nodes left on both volumes."""
    return _share_left(facts, "i-nodes")


def _share_left(facts: Facts, what: str) -> Verdict:
    if isinstance(facts.agent, Unseen):
        return not_seen(facts.agent)
    volumes = [volume for volume in (facts.agent.buffer, facts.agent.archive) if volume is not None]
    if not volumes:
        return failed("the agent can read neither volume", "look into its log and at the claims")
    verdicts = [_left(volume, what) for volume in volumes]
    return together(verdicts, "; ".join(verdict.message for verdict in verdicts))


def _left(volume: VolumeFacts, what: str) -> Verdict:
    free, total = volume.free_bytes, volume.total_bytes
    said = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free on {volume.path}"
    if what == "i-nodes":
        free, total = volume.free_inodes, volume.total_inodes
        said = f"{free} of {total} i-nodes free on {volume.path}"
    if total == 0:
        return passed(f"{volume.path} makes {what} as it needs them")
    mend = "grow the claim, shorten windows, or delete clips that nobody wants"
    if free / total < VERY_LITTLE_SHARE:
        return failed(said, mend)
    if free / total < LITTLE_SHARE:
        return warned(said, mend)
    return passed(said)
