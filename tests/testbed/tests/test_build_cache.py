import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.testbed.build_cache import built_once, cache_directory, key_of_files


class CountingBuilder:
    """Stands for minutes of compiling."""

    def __init__(self) -> None:
        self.builds = 0

    def __call__(self, target: Path) -> None:
        self.builds += 1
        (target / "program").write_text("built")


def test_the_cache_is_outside_the_tree_where_the_environment_says() -> None:
    assert cache_directory({"REPLAY_TEST_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_directory({"XDG_CACHE_HOME": "/b"}) == Path("/b/replay-operator")
    assert cache_directory({}) == Path.home() / ".cache" / "replay-operator"


def test_the_key_changes_with_content_and_name_of_a_source_and_with_nothing_else(tmp_path: Path) -> None:
    sources = [tmp_path / "go.mod", tmp_path / "main.go"]
    for source in sources:
        source.write_text("first")
    key = key_of_files(sources)
    assert key_of_files(list(reversed(sources))) == key

    sources[0].write_text("second")
    assert key_of_files(sources) != key

    sources[0].write_text("first")
    assert key_of_files(sources) == key

    renamed = sources[1].rename(tmp_path / "other.go")
    assert key_of_files([sources[0], renamed]) != key


def test_what_is_built_is_not_built_again(tmp_path: Path) -> None:
    build = CountingBuilder()
    first = built_once(tmp_path, "program", "key", build)
    second = built_once(tmp_path, "program", "key", build)
    assert first == second
    assert (first / "program").read_text() == "built"
    assert build.builds == 1


def test_another_key_is_another_build(tmp_path: Path) -> None:
    build = CountingBuilder()
    assert built_once(tmp_path, "program", "one", build) != built_once(tmp_path, "program", "two", build)
    assert build.builds == 2


def test_a_second_run_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    begun, told_to_wait, lines = threading.Event(), threading.Event(), list[str]()
    build = CountingBuilder()

    def slow_build(target: Path) -> None:
        begun.set()
        assert told_to_wait.wait(timeout=30)
        build(target)

    def report(line: str) -> None:
        lines.append(line)
        told_to_wait.set()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(built_once, tmp_path, "program", "key", slow_build)
        assert begun.wait(timeout=30)
        second = pool.submit(built_once, tmp_path, "program", "key", slow_build, report=report)
        assert first.result(timeout=30) == second.result(timeout=30)
    assert build.builds == 1
    assert lines[0].startswith("program: waiting for another process that builds it")


def test_a_failed_build_is_not_taken_for_a_program(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        (target / "half").touch()
        raise RuntimeError("out of disk")

    with pytest.raises(RuntimeError, match="out of disk"):
        built_once(tmp_path, "program", "key", fail)

    build = CountingBuilder()
    built = built_once(tmp_path, "program", "key", build)
    assert build.builds == 1
    assert [file.name for file in built.iterdir()] == ["program"]
