"""The wiring: a Faust app whose lanes process slices.

Faust keeps group membership, assignor, rebalance, recovery scheduling and standbys. Everything here overrides its
factory methods and settings; nothing is patched.
"""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import asyncio
import gc
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faust
import mode
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from mode.utils.queues import FlowControlEvent

from libs.runtime.kafka import QUIET, client_config, faust_config
from libs.topics.identity import is_name
from libs.topics.names import API_REPLIES, HUB_OWNERS

from . import answers, checks
from .consumer import SliceConsumer
from .fail import EXIT_CONFIG, die
from .health import Health
from .lane import Lane
from .producer import LaneProducer
from .reads import Reads
from .recovery import LaneTableManager
from .rows import Row
from .serving import Serving
from .settings import LaneSettings, ReadsSettings
from .store import LaneTable
from .ticker import Ticker
from .web import TALLY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.runtime.settings import KafkaSettings

VERIFIED = "0.15.3"
"""The hooks used here were read in exactly this version."""

if faust.__version__ != VERIFIED:
    raise ImportError(f"lanes are verified with faust-streaming {VERIFIED}, found {faust.__version__}")

SESSION_SHARE = 0.9
"""Part of the session timeout after which a record that was not delivered is given up, and with it the process."""


def fields(row: type[Row]) -> tuple[str, ...]:
    """Return the names of a row's fields in the order in which they are encoded."""
    return row.__struct_encode_fields__


def _rest() -> None:
    """Let the collector forget what there is, and come seldom: what a slice leaves behind has no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class SliceSchema(Schema):
    """Hands a slice to the agent untouched."""

    def compile(self, app: Any, **_: Any) -> Any:
        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001 - Faust passes it
            return app.create_event(None, message.value, None, message)

        return decode


class LaneTransport(driver.Transport):
    Consumer = SliceConsumer


class SteadyFlow(FlowControlEvent):
    """Faust's `resume` clears the queues each time, so that a second one drops fetched events (its issue 596)."""

    def resume(self) -> None:
        if not self.is_active():
            super().resume()


DEFAULTS: Mapping[str, Any] = {
    "Table": LaneTable,
    "TableManager": LaneTableManager,
    "agent_supervisor": mode.CrashingSupervisor,
    "autodiscover": False,
    "broker_check_crcs": False,
    "broker_commit_every": 1 << 60,
    "broker_rebalance_timeout": 60.0,
    "consumer_auto_offset_reset": "earliest",
    "stream_buffer_maxsize": 1 << 30,
    "stream_recovery_delay": 0.0,
    "stream_wait_empty": True,
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "web_enabled": False,
    "worker_redirect_stdouts": False,
}


class LaneApp(faust.App):
    """The app of one service; its consumer group has the service's name."""

    slice_size = 1000
    """Records folded without yielding to the event loop."""
    max_backlog = 50_000
    """Records fetched and not yet settled."""

    def __init__(
        self,
        service: str,
        *,
        kafka: KafkaSettings,
        lane: LaneSettings | None = None,
        reads: ReadsSettings | None = None,
        producer: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Take settings of librdkafka (``producer``) and of Faust (``options``) too; both win over our own."""
        lane = lane or LaneSettings()
        self.lanes: dict[str, Lane] = {}
        self.inboxes: set[str] = set()
        self._kafka = kafka
        self._producer_config = {
            "linger.ms": lane.linger_ms,
            "delivery.timeout.ms": int(lane.session_timeout_s * SESSION_SHARE * 1000),
            **(producer or {}),
        }
        own = {
            "store": lane.store,
            "datadir": Path(lane.data_dir),
            "table_standby_replicas": lane.standbys,
            "consumer_group_instance_id": lane.instance_id or None,
            "broker_session_timeout": lane.session_timeout_s,
            "broker_heartbeat_interval": lane.heartbeat_s,
            "broker_commit_interval": lane.commit_interval_s,
            "broker_request_timeout": max(90.0, lane.session_timeout_s),
            "topic_partitions": kafka.partitions,
        }
        super().__init__(service, **{**DEFAULTS, **own, **faust_config(kafka), **options})
        self.health = Health(self)
        self._ticker = Ticker(self, lane.tick_s)
        self.serving = Serving(self, reads or ReadsSettings(), lane.instance_id)

    def lane(self, table: str, *, inbox: str, row: type[Row], **options: Any) -> Lane:
        """Declare a lane; its changelog is ``<service>-<table>-changelog``.

        ``inbox``: the only topic it folds. Records under `libs.topics.identity.BROADCAST_KEY` go to ``fold_shared``,
        all others to ``step``; both are pure (`model.Step`, `model.FoldShared`), as is ``decode`` (`model.Decode`).
        ``row``: type of the table's rows; ``shared``: the first value of the partition's reference data; ``cell``: type
        of those pieces of it that have changelog rows of their own (`model.Shared`, `model.Folded`).
        ``dead_letters``: topic for events that are refused, with a reason: ``invalid_message`` (decode says so),
        ``poison`` (decode or step raised something else), ``row_too_large`` (``max_row`` bytes; ``max_shared`` of
        the state, or ``max_cells`` of all cells that one broadcast sets),
        ``output_too_large`` (``max_output`` bytes), ``bad_key`` (missing, empty or reserved).
        ``terms``, ``deadline``: what `model.Terms` and `model.Due` find rows by; ``tally``: what `reads.Reads.tally`
        counts them by; ``listing``: the terms that `reads.Reads.page` lists their keys under (`model.TermsOf`). Pure,
        and defined for every row. ``head``: a base of ``row`` with its first fields, if these four need no others:
        after a restart they are called with heads, and no row is decoded whole.
        ``swept``: called once per partition after the sweep of a broadcast that named targets (`model.Swept`).
        ``views``: what is shown of rows over HTTP, by name; `web` says where. Pure (`model.View`).
        ``breaker``: (n, m) stops the process when more than n of the last m events are refused.
        ``tick``: the worker that serves a partition broadcasts `libs.topics.messages.hub.TimePassed` into it every
        ``FLEETLOG_LANE_TICK_S`` seconds. While partitions move, two workers may: folds take the maximum of ``at``.
        """
        if not issubclass(row, Row):
            raise TypeError(f"{row!r} is not a lane Row")
        head = options.get("head") or Row
        if not issubclass(row, head) or fields(row)[: len(fields(head))] != fields(head):
            raise TypeError(f"{head!r} is not the first fields of {row!r}")
        if inbox in self.inboxes:
            raise ValueError(f"lane {table}: {inbox} feeds another lane already")
        views = options.get("views") or {}
        if unfit := [name for name in views if name == TALLY or not is_name(name)]:
            raise ValueError(f"lane {table}: these are no names for views: {', '.join(unfit)}")
        partitions = self.conf.topic_partitions
        faust_table: Any = self.Table(table, key_type=bytes, value_type=bytes, partitions=partitions)
        lane = Lane(self, faust_table, service=self.conf.id, inbox=inbox, row=row, **options)
        lane.reads = Reads(lane, partitions)
        faust_table.lane = lane
        self.lanes[table] = lane
        self.inboxes.add(inbox)
        topic = self.topic(inbox, schema=SliceSchema(), key_type=bytes, value_type=bytes)
        self.agent(topic, name=f"lane-{table}")(lane.run)
        return lane

    async def check_topics(self) -> None:
        """Refuse to start on topics that do not fit: exit 78 with one line that says which."""
        found = await asyncio.get_running_loop().run_in_executor(None, self._topic_problems)
        if found:
            die("refusing to start: %s", "; ".join(found), code=EXIT_CONFIG)

    def _topic_problems(self) -> list[str]:
        client = self.admin
        counts = checks.partition_counts(client)
        found: list[str] = []
        for lane in self.lanes.values():
            changelog = lane.table.changelog_name
            policy = checks.cleanup_policy(client, changelog) if changelog in counts else None
            found += checks.problems(lane, self.conf.topic_partitions, counts, policy)
        if self.serving.needed and HUB_OWNERS not in counts:
            found.append(f"topic {HUB_OWNERS}, on which owners of rows are announced, does not exist")
        if (replies := counts.get(API_REPLIES, answers.PARTITIONS)) < answers.PARTITIONS:
            found.append(f"topic {API_REPLIES} has {replies} partitions, steps answer to {answers.PARTITIONS}")
        return found

    async def identify(self, lane: Lane) -> None:
        """Ask Kafka which topic a lane's inbox is now."""
        try:
            loop = asyncio.get_running_loop()
            lane.inbox_id = await loop.run_in_executor(None, checks.topic_id, self.admin, lane.inbox)
        except (KafkaException, TimeoutError) as error:  # where this is called from, Faust would not notice
            die("cannot tell whether %s is still the same topic: %r", lane.inbox, error)

    @cached_property
    def admin(self) -> AdminClient:
        """Asked now and then, from any thread."""
        return AdminClient(client_config(self._kafka, **QUIET))

    def on_init_dependencies(self) -> Any:
        config = client_config(self._kafka, **self._producer_config)
        self.lane_producer = LaneProducer(self, config, loop=self.loop, beacon=self.beacon)
        return [self.lane_producer, *super().on_init_dependencies(), self.health, self._ticker, self.serving]

    def _create_directories(self) -> None:
        """Make the store's directory, where it has one; Faust would make one for rows in memory too."""
        if self.conf.store.scheme == "rocksdb":
            self.conf.datadir.mkdir(parents=True, exist_ok=True)
            super()._create_directories()

    async def on_start(self) -> None:
        await super().on_start()
        _rest()  # recovery makes millions of objects, and would have all modules' looked through each time

    async def on_started(self) -> None:
        await super().on_started()
        _rest()  # recovered rows leave the collector's sight

    async def on_stop(self) -> None:
        await self.serving.say_goodbye()  # before the partitions go to somebody else
        await super().on_stop()

    def _new_transport(self) -> Any:
        return LaneTransport(self.conf.broker_consumer, self)

    @property
    def flow_control(self) -> FlowControlEvent:
        flow: SteadyFlow | None = self.__dict__.get("_steady_flow")
        if flow is None:
            flow = self.__dict__["_steady_flow"] = SteadyFlow(loop=self.loop)
        return flow
