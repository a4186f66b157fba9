"""The pure parts of the soak: its plan, and what it calls growth."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from benchmarks.soak.figures import (
    ProcessSample,
    Sample,
    costs,
    line,
    lines,
    longest_life,
    slope_per_hour,
    table,
)
from benchmarks.soak.schedule import ENDS_A_PROCESS, DeedKind, Rates, deeds

RATES = Rates(captures=4, churns=0.5, faults=0.5)


def first(count: int, *, seed: int = 1, with_restarts: bool = False) -> list:
    return list(islice(deeds(seed=seed, rates=RATES, with_restarts=with_restarts), count))


def sample(minute: float, rss_mib: float, *, pid: int = 1, **others: int) -> Sample:
    figures = {"writes": 0, "database_bytes": 0, "orphans": 0, **others}
    return Sample(
        at_seconds=minute * 60,
        processes={"operator": ProcessSample(pid, rss_mib, descriptors=20, threads=5)},
        deeds={"capture": int(minute), "churn": 0},
        **figures,
    )


def test_the_same_seed_gives_the_same_deeds_and_another_one_others() -> None:
    assert first(50) == first(50)
    assert first(50) != first(50, seed=2)


def test_deeds_come_as_often_as_asked_for() -> None:
    done = first(5000)
    minutes = sum(deed.pause_seconds for deed in done) / 60
    counts = Counter(deed.kind for deed in done)
    for kind in DeedKind:
        assert counts[kind] / minutes == pytest.approx(RATES.of(kind), rel=0.15)


def test_faults_that_end_a_process_come_only_when_asked_for() -> None:
    spared = {deed.fault.kind for deed in first(3000) if deed.fault}
    assert spared
    assert not spared & ENDS_A_PROCESS
    assert {deed.fault.kind for deed in first(3000, with_restarts=True) if deed.fault} & ENDS_A_PROCESS


def test_what_is_never_done_is_not_planned() -> None:
    rates = Rates(captures=1, churns=0, faults=0)
    assert {deed.kind for deed in islice(deeds(seed=1, rates=rates, with_restarts=False), 100)} == {
        DeedKind.CAPTURE
    }


def test_a_leak_is_growth_and_a_saw_tooth_is_not() -> None:
    leak = [(minute * 60.0, 100 + minute * 0.2) for minute in range(60)]
    tooth = [(minute * 60.0, 100 + minute % 7) for minute in range(60)]
    assert line("leak", leak).verdict == "GROWS"
    assert line("leak", leak).per_hour == pytest.approx(12.0)
    assert line("tooth", tooth).verdict == "flat"


def test_what_fills_at_first_and_then_stays_is_flat() -> None:
    filling = [(minute * 60.0, min(60.0 + minute * 5, 110.0)) for minute in range(60)]
    found = line("caches", filling)
    assert (found.first, found.last, found.verdict) == (60.0, 110.0, "flat")


def test_single_peaks_do_not_tilt_a_slope() -> None:
    points = [(float(n), 50.0) for n in range(100)]
    points[90] = (90.0, 900.0)
    assert slope_per_hour(points) == 0.0


def test_one_sample_tells_no_growth() -> None:
    assert slope_per_hour([(0.0, 1.0)]) is None
    assert line("x", [(0.0, 1.0)]).verdict == "too short to tell"


def test_a_few_minutes_tell_no_growth() -> None:
    points = [(second * 1.0, 100.0 + second) for second in range(0, 300, 15)]
    assert line("x", points).verdict == "too short to tell"


def test_many_samples_are_thinned_out() -> None:
    assert slope_per_hour([(float(n), float(n)) for n in range(5000)]) == pytest.approx(3600.0)


def test_growth_is_looked_for_in_the_process_that_lived_longest() -> None:
    samples = [sample(minute, 200, pid=1) for minute in range(5)]
    samples += [sample(minute, 100, pid=2) for minute in range(5, 60)]
    samples += [sample(minute, 60, pid=3) for minute in range(60, 64)]
    assert {process.pid for _, process in longest_life(samples, "operator")} == {2}
    rss = lines(samples)[0]
    assert (rss.name, rss.first, rss.verdict) == ("operator: RSS, MiB", 100, "flat")


def test_a_process_that_was_never_seen_has_no_line() -> None:
    assert longest_life([sample(0, 1)], "agent") == []
    assert {each.name.split(":")[0] for each in lines([sample(0, 1), sample(1, 1)])} == {"operator"}


def test_writes_and_rows_are_told_for_each_new_object() -> None:
    said = costs([sample(0, 1), sample(10, 1, writes=45, database_bytes=5000, orphans=2)])
    assert said == [
        "done: 10 capture, 0 churn, in 0.17 h",
        "the operator's API writes, without the Lease: 45, 4.5 a new object",
        "database: 5000 bytes, 500 more a new object",
        "orphan files and directories at the end: 2",
    ]


def test_each_figure_has_a_line_in_the_table() -> None:
    shown = table(lines([sample(minute, 100) for minute in range(30)]))
    assert len(shown) == 2 + 3
    assert shown[2].split()[-2:] == ["+0.00", "flat"]
