"""Makes the namespaces of one container, builds its root, drops privileges, becomes its command.

The process that is started stays outside as the parent and passes on the exit code; its child is the first
process of a mount, PID and UTS namespace. (`unshare --fork` would do, but up to util-linux 2.38 it turns a
child's SIGKILL into exit code 1.) The plan comes as JSON on standard input, never in argv: it holds the
environment. The answer goes to the file descriptor named on the command line: `pid N` (as the host sees it)
just before the command takes over, and `error TEXT` when that fails.
Only the standard library, and little of it: this is the start-up time of every container.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any, NoReturn

_LIBC = ctypes.CDLL(None, use_errno=True)

# linux/sched.h
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x20000, 0x4000000, 0x10000000, 0x20000000
# linux/mount.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = (
    1,
    2,
    4,
    32,
    4096,
    16384,
    1 << 18,
)
_KEPT_ON_REMOUNT = 0xF  # ro, nosuid, nodev, noexec: a user namespace may not clear the ones it inherited
# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# The host's own content of these has no business in a container. Value: mode of the empty directory.
_EMPTIED = {"tmp": "1777", "var/tmp": "1777", "run": "755"}
# By the group too: containers often run with group 0, which owns a private home as well.
_SEARCHABLE = stat.S_IXGRP | stat.S_IXOTH
# Directories of the root that a container never shares with the host.
_OWN = ("proc", "sys", "dev", "run", "tmp")
_SYMLINKS_LIMIT = 40
_CANNOT_START = 128  # the exit code that container runtimes use for it


def _mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    arguments = [text.encode() or None for text in (source, target, kind)]
    if _LIBC.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def _remount_read_only(target: str) -> None:
    kept = os.statvfs(target).f_flag & _KEPT_ON_REMOUNT
    _mount("none", target, flags=_MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _inside(root: str, path: str) -> str:
    """The host's path of a container's path, with symlinks followed as if `root` were the root directory."""
    done, todo, followed = "", path.split("/")[::-1], 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        candidate = f"{root}{done}/{part}"
        if not os.path.islink(candidate):  # noqa: PTH114 - pathlib costs start-up time here and gains nothing
            done = f"{done}/{part}"
            continue
        followed += 1
        if followed > _SYMLINKS_LIMIT:
            raise OSError(f"too many symlinks in {path}")
        link = os.readlink(candidate)  # noqa: PTH115 - as above
        done = "" if link.startswith("/") else done
        todo += link.split("/")[::-1]
    return root + done


def _make_root(base: str, *, one_user: bool) -> str:
    """A copy of the host's root to write in. The writes go to memory of this namespace and end with it."""
    _mount("tmpfs", base, "tmpfs", options="mode=755")
    root = f"{base}/root"
    Path(root).mkdir(mode=0o755)
    if not one_user:
        _overlay("/", root, f"{base}/layer")
        return root
    # In a user namespace the root directory cannot be a layer: the host's other mounts are locked on it.
    _mount(root, root, flags=_MS_BIND)
    for entry in Path("/").iterdir():
        copy = Path(root, entry.name)
        if entry.is_symlink():
            copy.symlink_to(entry.readlink())
        elif entry.is_dir():
            copy.mkdir()
            if entry.name not in _OWN:
                _overlay_or_bind(str(entry), str(copy), f"{base}/{entry.name}-layer")
    return root


def _overlay(lower: str, target: str, layer: str, extra: str = "") -> None:
    upper, work = Path(layer, "upper"), Path(layer, "work")
    for directory in (upper, work):
        directory.mkdir(mode=0o755, parents=True)
    _mount("overlay", target, "overlay", options=f"lowerdir={lower},upperdir={upper},workdir={work}{extra}")


def _overlay_or_bind(source: str, target: str, layer: str) -> None:
    try:
        _overlay(source, target, layer, ",userxattr")
    except OSError:
        _mount(source, target, flags=_MS_BIND | _MS_REC)
        _remount_read_only(target)


def _fill_system_directories(root: str) -> None:
    _mount("proc", f"{root}/proc", "proc")
    _mount("tmpfs", f"{root}/dev", "tmpfs", options="mode=755")
    for name in _DEVICES:
        # Never the host's whole /dev: a container could then make nodes in it.
        Path(root, "dev", name).touch()
        _mount(f"/dev/{name}", f"{root}/dev/{name}", flags=_MS_BIND)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        Path(root, "dev", name).symlink_to(f"/proc/self/{target}")
    shared_memory = Path(root, "dev/shm")
    shared_memory.mkdir()
    shared_memory.chmod(0o1777)
    for name, mode in _EMPTIED.items():
        target = _inside(root, name)
        if os.path.isdir(target):  # noqa: PTH112 - as above
            _mount("tmpfs", target, "tmpfs", flags=_MS_NOSUID | _MS_NODEV, options=f"mode={mode}")


def _expose(root: str, path: str) -> None:
    """Makes a host path (the interpreter, the checkout) readable by every user of the container.

    It may lie below a private home directory, in a directory that was emptied, or on another mount.
    """
    target = _inside(root, path)
    if not os.path.exists(target) or os.stat(path).st_dev != os.stat("/").st_dev:  # noqa: PTH110, PTH116 - as above
        Path(target).mkdir(parents=True, exist_ok=True)
        _mount(path, target, flags=_MS_BIND | _MS_REC)
        _remount_read_only(target)
    for ancestor in (Path(target), *Path(target).parents):
        if ancestor == Path(root):
            break
        mode = stat.S_IMODE(ancestor.stat().st_mode)
        if mode & _SEARCHABLE != _SEARCHABLE:
            # In the overlay only. In a user namespace it fails, and there it is not needed either: one user.
            with contextlib.suppress(OSError):
                ancestor.chmod(mode | _SEARCHABLE)


def _bind(root: str, source: str, path: str, *, read_only: bool) -> None:
    target = Path(_inside(root, path))
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(source, str(target), flags=_MS_BIND)
    if read_only:
        _remount_read_only(str(target))


def _build(plan: dict[str, Any]) -> str:
    root = _make_root(plan["base"], one_user=plan["one_user"])
    _fill_system_directories(root)
    for path in plan["exposed"]:
        _expose(root, path)
    for path in plan["directories"]:
        directory = Path(_inside(root, path))
        directory.mkdir(parents=True, exist_ok=True)
        os.chown(directory, *plan["directories_owner"])
    for source, path, read_only in plan["binds"]:
        _bind(root, source, path, read_only=read_only)
    for path in plan["exposed"]:
        # A volume at /tmp hides a checkout in /tmp, also when an earlier start has left its directory there.
        if any(path.startswith(f"{at.rstrip('/')}/") for _, at, _ in plan["binds"]):
            _bind(root, path, path, read_only=True)
    if plan["read_only_root"]:
        _seal(root, volumes={_inside(root, path) for _, path, _ in plan["binds"]})
    return root


def _seal(root: str, volumes: set[str]) -> None:
    # Directories only: to `ismount` every file of an overlay looks like a mount.
    parts = [str(entry) for entry in Path(root).iterdir() if entry.is_dir() and not entry.is_symlink()]
    writable = {f"{root}/proc", f"{root}/dev", *volumes}
    for target in (*parts, *(_inside(root, name) for name in _EMPTIED)):
        if os.path.ismount(target) and target not in writable:
            _remount_read_only(target)
    _remount_read_only(root)


def _drop_privileges(plan: dict[str, Any]) -> None:
    capability = 0
    while _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if not plan["one_user"]:
        os.setgroups(plan["groups"])
        os.setresgid(plan["gid"], plan["gid"], plan["gid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
    if plan["no_new_privileges"]:
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _die_with_parent()  # once more: a change of user clears it


def _become(plan: dict[str, Any], report: int, host_pid: str) -> NoReturn:
    os.umask(0o022)
    os.chdir(plan["working_directory"])
    # Python ignores these two, and an ignored signal stays ignored over exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.write(report, f"pid {host_pid}\n".encode())
    command = plan["argv"][0]
    try:
        os.execvpe(command, plan["argv"], plan["env"])  # noqa: S606 - becoming the command is the task
    except OSError as error:
        # execvpe names the last directory of PATH that it tried, which misleads.
        raise OSError(f"exec {command}: {error.strerror}") from error


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _enter_namespaces(*, one_user: bool) -> None:
    """The next child is the first process of the new PID namespace; the others take effect at once."""
    uid, gid = os.getuid(), os.getgid()
    user = _CLONE_NEWUSER if one_user else 0
    if _LIBC.unshare(user | _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWPID) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    if one_user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _mount("none", "/", flags=_MS_REC | _MS_PRIVATE)


def _become_container(plan: dict[str, Any], report: int) -> NoReturn:
    """The child's part. It ends in the container's command, or in an error on the report."""
    try:
        _die_with_parent()
        # /proc is still the host's, so the link names this process as the host sees it.
        host_pid = os.readlink("/proc/self")  # noqa: PTH115 - as above
        os.setsid()
        socket.sethostname(plan["hostname"])
        os.chroot(_build(plan))
        _drop_privileges(plan)
        _become(plan, report, host_pid)
    except (OSError, KeyError) as error:
        os.write(report, f"error {error}\n".encode())
    finally:
        os._exit(_CANNOT_START)


def main() -> int:
    """Starts the container and waits for its end.

    Returns:
        The exit code of the container's first process; 128 + signal when a signal ended it.
    """
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    try:
        plan = json.loads(sys.stdin.buffer.read())
        _enter_namespaces(one_user=plan["one_user"])
        child = os.fork()
    except (OSError, ValueError, KeyError) as error:
        os.write(report, f"error {error}\n".encode())
        return _CANNOT_START
    if child == 0:
        _become_container(plan, report)
    os.close(report)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
