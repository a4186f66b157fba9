"""Which file systems are read over a network, as far as their names tell. Pure."""

from __future__ import annotations

NFS = ("nfs", "nfs4")
_OTHERS = ("ceph", "cifs", "smb3", "lustre", "gpfs", "glusterfs", "9p")
_FUSE = "fuse."
"""Clients of object and cluster stores; local disks are seldom mounted so."""


def is_over_network(file_system: str) -> bool:
    """Say whether reading goes over a network.

    Args:
        file_system: Its type as the mount names it (proc(5)).
    """
    return file_system in (*NFS, *_OTHERS) or file_system.startswith(_FUSE)
