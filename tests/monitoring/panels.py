"""What the dashboard shows, in the order of the questions that somebody has who looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HERE = 'namespace=~"$namespace"'
"""An install is a namespace; without that label in the scrape, "All" shows what there is."""


class Shape(StrEnum):
    """How a panel is drawn: one number, or lines over time."""

    NUMBER = "number"
    LINES = "lines"


@dataclass(frozen=True)
class Query:
    """An expression of Prometheus, and how its lines are named."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Shown:
    """One panel. `warn_above` colours a number; 0 means that any is bad."""

    title: str
    queries: tuple[Query, ...]
    meaning: str
    unit: str = "short"
    shape: Shape = Shape.LINES
    warn_above: float | None = None
    warn_below: float | None = None


def share(quantile: float, histogram: str, window: str, *, by: str = "") -> str:
    """How long so large a share of what a histogram has seen took at most."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({histogram}_bucket{{{HERE}}}[{window}])))"


def number(title: str, expr: str, meaning: str, **how: float | str) -> Shown:
    """A panel with one number."""
    return Shown(title, (Query(expr),), meaning, shape=Shape.NUMBER, **how)  # type: ignore[arg-type] # the caller names fields of Shown


def lines(title: str, meaning: str, *queries: tuple[str, str], unit: str = "short") -> Shown:
    """A panel with lines over time."""
    return Shown(title, tuple(Query(*query) for query in queries), meaning, unit)


ROWS: dict[str, tuple[Shown, ...]] = {
    "Is anyone's moment being lost?": (
        number(
            "Recording now",
            f"sum(replay_buffer_active_sessions{{{HERE}}})",
            "Buffers that record.",
        ),
        number(
            "Without fresh segments",
            f"sum(replay_operator_stale_buffers{{{HERE}}})",
            "Buffers that should record and get nothing. What happens now cannot be saved.",
            warn_above=0,
        ),
        number(
            "Waiting for a worker",
            f'sum(replay_operator_buffers{{state="WaitingForCapacity",{HERE}}}) or vector(0)',
            "Buffers that no egress worker takes.",
            warn_above=0,
        ),
        number(
            "Seconds not covered, last hour",
            f"sum(increase(replay_operator_uncovered_seconds_total{{{HERE}}}[1h]))",
            "Seconds of source that no segment holds, over all buffers.",
            unit="s",
            warn_above=60,
        ),
        number(
            "Leaders",
            f"sum(replay_operator_leader{{{HERE}}})",
            "One for each install. Without one nothing new starts.",
            warn_below=1,
        ),
        number(
            "Worst clock drift",
            f"max(replay_operator_clock_shift_seconds{{{HERE}}})",
            "How far a live run is off its own first segments.",
            unit="s",
            warn_above=0.5,
        ),
        lines(
            "Age of the newest segment",
            "Up to 2 x segmentSeconds + 0.7 s is normal. One buffer in trouble lifts only the worst.",
            (
                f"max by (percentile) (replay_operator_newest_segment_age_seconds{{{HERE}}})",
                "{{percentile}} %",
            ),
            unit="s",
        ),
        lines(
            "Buffers by state",
            "The reason of the condition Recording: docs/buffers.md.",
            (f"sum by (state) (replay_operator_buffers{{{HERE}}})", "{{state}}"),
        ),
        lines(
            "Who does not answer",
            "For how long LiveKit and the agent have been silent.",
            (f"max(replay_operator_livekit_silent_seconds{{{HERE}}})", "LiveKit"),
            (f"max(replay_operator_agent_silent_seconds{{{HERE}}})", "agent"),
            unit="s",
        ),
    ),
    "Are captures fast and succeeding?": (
        number(
            "Success rate, last hour",
            f"sum(increase(replay_buffer_captures_total{{{HERE}}}[1h]))"
            f" / (sum(increase(replay_buffer_capture_attempts_total{{{HERE}}}[1h])) > 0)",
            "Clips made of captures taken up. No value: nobody asked.",
            unit="percentunit",
            warn_below=0.95,
        ),
        number(
            "95 of 100 clips are ready within",
            share(0.95, "replay_buffer_capture_duration_seconds", "1h"),
            "From the last needed segment on disk. No value: no clip in the last hour.",
            unit="s",
            warn_above=3,
        ),
        number(
            "Waiting for a place",
            f"sum(replay_operator_captures_queued{{{HERE}}})",
            "Captures that wait because REPLAY_MAX_CAPTURE_JOBS are at work.",
            warn_above=10,
        ),
        lines(
            "Time to a clip",
            "From the last needed segment on disk until the clip was ready.",
            (
                share(0.5, "replay_buffer_capture_duration_seconds", "5m"),
                "median",
            ),
            (
                share(0.95, "replay_buffer_capture_duration_seconds", "5m"),
                "95 %",
            ),
            (
                share(0.95, "replay_operator_capture_tail_seconds", "5m"),
                "waiting for the last segment, 95 %",
            ),
            unit="s",
        ),
        lines(
            "Captures a minute",
            "Attempts are captures that were taken up; a further try of one is not counted again.",
            (f"60 * sum(rate(replay_buffer_capture_attempts_total{{{HERE}}}[5m]))", "attempts"),
            (f"60 * sum(rate(replay_buffer_captures_total{{{HERE}}}[5m]))", "clips"),
            (f"60 * sum(rate(replay_buffer_capture_errors_total{{{HERE}}}[5m]))", "failures"),
        ),
        lines(
            "Failures by reason",
            "Each reason is explained in docs/captures.md.",
            (
                f"sum by (error_type) (increase(replay_buffer_capture_errors_total{{{HERE}}}[1h])) > 0",
                "{{error_type}}",
            ),
        ),
        lines(
            "On the way to object storage",
            "Clips that the bucket does not have yet, those that are sent now, and those that were given up. "
            "Nothing without a bucket.",
            (f'sum by (state) (replay_upload_clips{{state!="Verified",{HERE}}})', "{{state}}"),
            (f"sum(replay_upload_jobs{{{HERE}}})", "sent now"),
        ),
        lines(
            "Time to object storage",
            "From the moment that the upload was due, with all attempts; and how long the oldest one waits.",
            (share(0.95, "replay_upload_duration_seconds", "1h"), "95 %"),
            (f"max(replay_upload_oldest_seconds{{{HERE}}})", "the oldest one waits"),
            unit="s",
        ),
        lines(
            "Failed attempts to upload, by reason",
            "Each reason is explained in docs/object-storage.md.",
            (
                f"sum by (error_type) (increase(replay_upload_errors_total{{{HERE}}}[1h])) > 0",
                "{{error_type}}",
            ),
        ),
    ),
    "Will disks or workers run out?": (
        number(
            "Buffer volume full in",
            f"min(replay_agent_volume_full_seconds{{{HERE}}})",
            "A straight line through the last ten minutes; infinite while it does not fill.",
            unit="s",
            warn_below=4 * 3600,
        ),
        number(
            "Windows cut short",
            f"sum(replay_agent_trimmed_buffers{{{HERE}}})",
            "Buffers that lost segments inside their window to the floor of free space.",
            warn_above=0,
        ),
        number(
            "Places free on workers",
            f"sum(replay_fleet_headroom{{{HERE}}})",
            "Recordings that the ready workers could carry beyond what they hold.",
            warn_below=1,
        ),
        number(
            "Write budget used",
            f"max(replay_write_throughput_bytes{{{HERE}}} / replay_write_budget_bytes{{{HERE}}})",
            "Of REPLAY_WRITE_BUDGET_MBPS, when all admitted buffers record; 0 without a budget.",
            unit="percentunit",
            warn_above=0.8,
        ),
        lines(
            "Storage",
            "Bytes of segments (temp) and of clips (permanent, counted every ten minutes).",
            (f"sum by (type) (replay_buffer_storage_bytes{{{HERE}}})", "{{type}}"),
            unit="bytes",
        ),
        lines(
            "Storage trend, bytes a day",
            "How fast each grows, from the last hour.",
            (f"86400 * sum by (type) (deriv(replay_buffer_storage_bytes{{{HERE}}}[1h]))", "{{type}}"),
            unit="bytes",
        ),
        lines(
            "Free space",
            "Of the two volumes, and the floor below which windows are cut short.",
            (
                f'sum by (what) (replay_agent_volume_bytes{{what=~"free|floor",{HERE}}})',
                "buffer volume: {{what}}",
            ),
            (f'sum(replay_agent_archive_bytes{{what="free",{HERE}}})', "archive volume: free"),
            unit="bytes",
        ),
        lines(
            "Claims",
            "What buffers need, what is asked for, and what there is.",
            (f"sum by (claim, type) (replay_claim_bytes{{{HERE}}})", "{{claim}}: {{type}}"),
            unit="bytes",
        ),
        lines(
            "Workers by what they hold",
            "How many workers hold so many egresses.",
            (f"sum by (egresses) (replay_fleet_workers{{{HERE}}})", "{{egresses}} egresses"),
        ),
        lines(
            "Demand and fleet",
            "Recordings that need a place, places that are free, and the least number of workers.",
            (f"sum(replay_fleet_demand{{{HERE}}})", "recordings"),
            (f"sum(replay_fleet_headroom{{{HERE}}})", "places free"),
            (f"sum(replay_fleet_floor{{{HERE}}})", "workers at least"),
        ),
    ),
    "Do people get to see it?": (
        number(
            "Buffers looked at",
            f"sum(replay_agent_preview_buffers{{{HERE}}})",
            "Buffers whose preview somebody was sent in the last minute. 0 where there is no preview.",
        ),
        number(
            "Not readable, last hour",
            f'sum(increase(replay_agent_preview_requests_total{{result="failed",{HERE}}}[1h]))',
            "Requests for previews and clips that the agent could not answer.",
            warn_above=0,
        ),
        number(
            "Addresses refused, last hour",
            f'sum(increase(replay_agent_preview_requests_total{{result="refused",{HERE}}}[1h]))',
            "Expired or forged ones, or a key that operator and agent do not share.",
        ),
        lines(
            "Requests for previews and clips",
            "Answered requests a second. A player asks for a playlist and a segment about once a segment.",
            (
                f'sum by (what) (rate(replay_agent_preview_requests_total{{result="ok",{HERE}}}[5m]))',
                "{{what}}",
            ),
            unit="reqps",
        ),
        lines(
            "What was not given",
            "Requests a second: refused addresses, what is not there, questions without sense, failures.",
            (
                f'sum by (result) (rate(replay_agent_preview_requests_total{{result!="ok",{HERE}}}[5m]))',
                "{{result}}",
            ),
            unit="reqps",
        ),
        lines(
            "Reads of a network volume",
            "Segments a second from memory (hit), from another viewer's read (shared), read (miss), or "
            "without room in memory (full: raise preview.memory). A local volume has none.",
            (
                f"sum by (result) (rate(replay_agent_preview_hot_segments_total{{{HERE}}}[5m]))",
                "{{result}}",
            ),
            unit="reqps",
        ),
        lines(
            "Memory of previews",
            "What segments of a network volume take in the agent's memory, up to preview.memory.",
            (f"sum(replay_agent_preview_memory_bytes{{{HERE}}})", "segments"),
            unit="bytes",
        ),
    ),
    "What costs most?": (
        lines(
            "Writes to the buffer volume",
            "What all admitted buffers write when all record, against the budget; and what is deleted again.",
            (f"sum(replay_write_throughput_bytes{{{HERE}}})", "admitted"),
            (f"sum(replay_write_budget_bytes{{{HERE}}}) < +Inf", "budget"),
            (f"sum(rate(replay_agent_deleted_bytes_total{{{HERE}}}[5m]))", "deleted"),
            unit="Bps",
        ),
        lines(
            "Writes to the Kubernetes API",
            "Calls a second. An idle install makes one every two seconds, the renewal of its Lease.",
            (
                f'sum by (resource) (rate(replay_operator_api_calls_total{{method!="GET",{HERE}}}[5m])) > 0',
                "{{resource}}",
            ),
            unit="reqps",
        ),
        lines(
            "Calls to LiveKit",
            "Calls a second by what came of them.",
            (
                f"sum by (call, result) (rate(replay_operator_livekit_calls_total{{{HERE}}}[5m])) > 0",
                "{{call}}: {{result}}",
            ),
            unit="reqps",
        ),
        lines(
            "How long LiveKit takes",
            "95 of 100 calls take no longer. A start takes 0.6 s, a refusal for want of a worker 22 s.",
            (
                share(0.95, "replay_operator_livekit_call_seconds", "5m", by="call"),
                "{{call}}",
            ),
            unit="s",
        ),
        lines(
            "Work of the operator",
            "Reconciles a second by kind and result.",
            (
                f"sum by (kind, result) (rate(replay_operator_reconciles_total{{{HERE}}}[5m])) > 0",
                "{{kind}}: {{result}}",
            ),
            unit="ops",
        ),
        lines(
            "Queue",
            "Objects that are due and wait, those that are worked on, and how late the first one is.",
            (f"sum by (state) (replay_operator_queue_depth{{{HERE}}})", "{{state}}"),
            (f"max(replay_operator_queue_age_seconds{{{HERE}}})", "seconds late"),
        ),
        lines(
            "Catalogue",
            "Objects whose row is not up to date yet, and captures that a quota of their owner refused.",
            (f"sum(replay_catalogue_waiting_objects{{{HERE}}})", "rows to write"),
            (
                f'sum(increase(replay_buffer_capture_errors_total{{error_type="QuotaExceeded",{HERE}}}[1h]))',
                "captures refused by a quota, last hour",
            ),
        ),
        lines(
            "Versions",
            "Processes by version.",
            (
                f'sum by (version) ({{__name__=~"replay_(operator|agent)_build_info",{HERE}}})',
                "{{version}}",
            ),
        ),
    ),
}
