"""Settings of lane workers: ``FLEETLOG_LANE_…``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from libs.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


class LaneSettings(Settings, frozen=True, kw_only=True):
    store: Annotated[
        str,
        Meta(
            pattern="^(memory|rocksdb)://$",
            description="Where rows live: `memory://`, recovered from the changelog at the start, or `rocksdb://`.",
        ),
    ] = "memory://"
    data_dir: Annotated[
        str, Meta(min_length=1, description="Directory of the rocksdb store; each worker needs its own.")
    ] = "data"
    standbys: Annotated[
        int, Meta(ge=0, le=4, description="Other workers that keep a copy of each partition, ready to take over.")
    ] = 0
    instance_id: Annotated[
        str,
        Meta(
            description="Fixed name of this worker in its group: a restart within the session timeout moves no "
            "partition. Empty: a restart is a leave and a join, and partitions move at once."
        ),
    ] = ""
    session_timeout_s: Annotated[
        float,
        Meta(ge=2, le=300, description="Seconds after which a silent worker's partitions go to the others."),
    ] = 30.0
    heartbeat_s: Annotated[
        float, Meta(gt=0, le=60, description="Seconds between heartbeats; bounds how soon a rebalance is noticed.")
    ] = 1.0
    commit_interval_s: Annotated[
        float, Meta(gt=0, le=60, description="Seconds between commits: how much a restart replays at most.")
    ] = 1.0
    linger_ms: Annotated[
        int, Meta(ge=0, le=1000, description="Milliseconds a produced record may wait for others to share a request.")
    ] = 5

    tick_s: Annotated[
        float,
        Meta(
            ge=0.05, le=60, description="Seconds between the ticks by which a service that wants them learns the time."
        ),
    ] = 1.0

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.heartbeat_s * 3 > self.session_timeout_s:
            yield "heartbeat_s", "must be at most a third of the session timeout"


class ReadsSettings(Settings, frozen=True, kw_only=True):
    """``FLEETLOG_READS_...``: where a worker answers reads of the rows that it owns."""

    host: Annotated[
        str,
        Meta(
            min_length=1,
            description="Address at which a worker answers reads of its rows. Whoever reaches it may read them.",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port for reads; 0: any free one.")] = 0
    url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^/\s]+)?\Z",
            description="Base address that is announced to readers, where they reach the worker at another one, such "
            "as `http://10.1.2.3:8081`. Empty: `http://` with host and port.",
        ),
    ] = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.host in ("0.0.0.0", "::") and not self.url:  # noqa: S104 - it is refused, not bound
            yield "url", f"is needed with the host {self.host}, which is no address to reach anybody at"
