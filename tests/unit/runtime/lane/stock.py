"""What the lane takes from Faust, mode and aiokafka, as it was read: one line for each piece of their code.

``digest`` is of the piece's source. When a line fails: read the piece again in the new version, then what the line's
reason names in `libs.runtime.lane`, then run `tests/integration/lane`; then put the new digest here.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import textwrap
from functools import reduce
from typing import Any, NamedTuple


class Stock(NamedTuple):
    path: str
    """Module, colon, qualified name."""
    digest: str
    why: str


def find(path: str) -> Any:
    """Look a piece up. Raises ImportError or AttributeError where it is gone."""
    module, _, name = path.partition(":")
    *parents, last = name.split(".")
    owner = reduce(getattr, parents, importlib.import_module(module))
    return inspect.getattr_static(owner, last) if parents else getattr(owner, last)


def plain(piece: Any) -> Any:
    """The function behind a property, a cached property or a service's task."""
    for attribute in ("fun", "fget", "_cached_property__get", "__func__"):
        inner = getattr(piece, attribute, None)
        if inspect.isfunction(inner):
            return inspect.unwrap(inner)
    return inspect.unwrap(piece) if inspect.isfunction(piece) else piece


def source(path: str) -> str:
    return textwrap.dedent(inspect.getsource(plain(find(path))))


def digest(path: str) -> str:
    return hashlib.sha256(source(path).encode()).hexdigest()[:12]


CONSUMER = "faust.transport.consumer:Consumer"
DRIVER = "faust.transport.drivers.aiokafka"
THREAD = f"{DRIVER}:AIOKafkaConsumerThread"
FETCHER = "aiokafka.consumer.fetcher:Fetcher"
RECOVERY = "faust.tables.recovery:Recovery"
MANAGER = "faust.tables.manager:TableManager"
APP = "faust.app.base:App"

OVERRIDDEN = (
    Stock(
        "faust.transport.consumer:ThreadDelegateConsumer.__init__",
        "eb97deeb86ee",
        "SliceConsumer.__init__ goes before it",
    ),
    Stock(f"{CONSUMER}.getmany", "e486c434b792", "SliceConsumer._slices does the same by slices"),
    Stock(f"{CONSUMER}.perform_seek", "2b4ceebd23de", "SliceConsumer starts the chain of slices at what it read"),
    Stock(f"{CONSUMER}._add_gap", "f1cc1db634f5", "SliceConsumer keeps it away from inboxes"),
    Stock(f"{CONSUMER}.ack", "5548cf0f7584", "SliceConsumer.ack does the same by ranges"),
    Stock(f"{CONSUMER}._filter_tps_with_pending_acks", "cccdca32d241", "SliceConsumer adds the partitions of ranges"),
    Stock(f"{CONSUMER}._new_offset", "2b29afe4dd9a", "SliceConsumer answers for inboxes"),
    Stock(f"{CONSUMER}._commit_offsets", "86b3e9b0aec7", "SliceConsumer undoes its bookkeeping after a failure"),
    Stock(f"{CONSUMER}.wait_empty", "53195dca246c", "SliceConsumer abandons sweeps and drains the producer before it"),
    Stock(
        f"{CONSUMER}.on_partitions_revoked",
        "652177e770ee",
        "SliceConsumer: stop, wait, commit; then forgets its ranges",
    ),
    Stock(
        "faust.transport.consumer:ThreadDelegateConsumer.earliest_offsets",
        "dce064c21313",
        "SliceConsumer asks by another connection",
    ),
    Stock(f"{DRIVER}:Consumer._new_consumer_thread", "8fd0d41b1514", "SliceConsumer makes a SliceThread"),
    Stock(f"{THREAD}._fetch_records", "9e7369fc572d", "SliceThread waits before it, and lightens what was fetched"),
    Stock("faust.serializers.schemas:Schema.compile", "bd271ec59690", "SliceSchema hands slices on as they are"),
    Stock(f"{DRIVER}:Transport", "966a67907f33", "LaneTransport replaces its Consumer"),
    Stock("mode.utils.queues:FlowControlEvent.resume", "da6fc70c770e", "SteadyFlow lets no second resume clear queues"),
    Stock(f"{APP}.__init__", "c90c021f3805", "LaneApp hands its settings over as options"),
    Stock(f"{APP}.on_init_dependencies", "70bd80ccc18f", "LaneApp puts the producer first and health last"),
    Stock(f"{APP}._create_directories", "11b6b0b79e31", "LaneApp makes them for rows on disk only"),
    Stock(f"{APP}.on_start", "d86da08f9315", "LaneApp lets the collector rest after it"),
    Stock(f"{APP}.on_started", "d365049982f3", "LaneApp freezes what was recovered after it"),
    Stock(f"{APP}.on_stop", "d8e7904b258c", "LaneApp says goodbye to readers before it"),
    Stock(f"{APP}._new_transport", "11beddacb9fe", "LaneApp makes its own"),
    Stock(f"{APP}.flow_control", "e11e9eab4ea2", "LaneApp makes its own"),
    Stock(f"{RECOVERY}.on_rebalance", "31030bc1807f", "LaneRecovery clears what is left of the recovery before"),
    Stock(f"{RECOVERY}._slurp_changelogs", "7e3120dad754", "LaneRecovery watches for the end instead"),
    Stock(f"{MANAGER}.recovery", "9e5e10447444", "LaneTableManager makes a LaneRecovery"),
    Stock(f"{MANAGER}.on_start", "b82e759be50c", "LaneTableManager starts without its second of rest"),
    Stock("faust.worker:Worker.__init__", "4cb5c59364a6", "worker.Worker goes before it, with worker.run's options"),
    Stock("mode.worker:Worker._sentinel_task", "3c41d4f6f5c3", "worker.Worker rests for less"),
    Stock(f"{MANAGER}.on_rebalance_start", "af9ede83005a", "LaneTableManager tells who owns what"),
    Stock(f"{MANAGER}.on_actives_ready", "fb443bf457e0", "LaneTableManager tells who owns what"),
    Stock("faust.stores.memory:Store.__post_init__", "4f62b7b15f39", "MemoryStore has parts instead of a dict"),
    Stock("faust.stores.memory:Store.persisted_offset", "e8f4fcd9306a", "PartStore answers from the part"),
    Stock(
        "faust.stores.memory:Store.on_recovery_completed",
        "92833ba38c9e",
        "PartStore recognises the inbox, derives indexes",
    ),
    Stock(
        "faust.stores.base:Store.on_recovery_completed",
        "ea4bb78ee3d2",
        "PartStore recognises the inbox, derives indexes",
    ),
    Stock("faust.stores.base:Store.set_persisted_offset", "e503db74909f", "PartStore moves it on acknowledgement only"),
    Stock("faust.stores.base:Store.on_rebalance", "9e0734fd1e93", "PartStore drops parts before it"),
    Stock("faust.stores.base:SerializedStore.__getitem__", "1f5b294a2460", "PartStore reads rows"),
    Stock("faust.stores.base:SerializedStore.__iter__", "3a26c978beb1", "PartStore lists keys"),
    Stock("faust.stores.base:SerializedStore.__len__", "9ff5d3a471d4", "PartStore counts keys"),
    Stock("faust.stores.base:SerializedStore.__contains__", "e4a386a46896", "PartStore reads rows"),
    Stock("mode.utils.collections:FastUserDict.__getitem__", "4c93b5858aa2", "PartStore reads rows"),
    Stock("mode.utils.collections:FastUserDict.__iter__", "f9f741bc6d72", "PartStore lists keys"),
    Stock("mode.utils.collections:FastUserDict.__len__", "bf37fa3bd503", "PartStore counts keys"),
    Stock("mode.utils.collections:FastUserDict.__contains__", "4d17bea022ba", "PartStore reads rows"),
    Stock("faust.stores.rocksdb:Store.__init__", "9301bd0db468", "RocksStore adds its parts after it"),
    Stock("faust.stores.rocksdb:Store.persisted_offset", "6b4b2940005c", "PartStore answers from the part"),
    Stock(
        "faust.stores.rocksdb:Store.set_persisted_offset", "6fd1e96c0809", "PartStore moves it on acknowledgement only"
    ),
    Stock("faust.stores.rocksdb:Store.on_rebalance", "a04fdf2e065d", "PartStore drops parts before it"),
    Stock(
        "faust.stores.rocksdb:Store.stop",
        "a7b7e2eeae9e",
        "RocksStore drops parts before it: databases close when collected",
    ),
    Stock("faust.tables.base:Collection._new_store_by_url", "28b01ee9bcc6", "LaneTable makes its own stores"),
    Stock("faust.tables.table:Table.on_key_set", "9ff71a01455e", "LaneTable refuses writes of others"),
)

CALLED = (
    Stock("faust.transport.consumer:ensure_TP", "62a2822ff531", "SliceConsumer: what aiokafka says to what Faust says"),
    Stock("faust.transport.consumer:Fetcher._fetcher", "64ea6297f5a0", "calls _drain_messages"),
    Stock(
        f"{CONSUMER}.__init__", "00f02908cf84", "_unacked_messages, _read_offset, _committed_offset, _waiting_for_ack"
    ),
    Stock(
        f"{CONSUMER}._wait_next_records",
        "ba40cd367132",
        "SliceConsumer._slices: what it fetches, and the active partitions",
    ),
    Stock(f"{CONSUMER}._drain_messages", "8f35dd7a1114", "iterates getmany, skips by _read_offset, calls _add_gap"),
    Stock(f"{CONSUMER}._wait_for_ack", "0d4f76b083a9", "wait_empty: woken through _waiting_for_ack"),
    Stock(f"{CONSUMER}._clean_unacked_messages", "c616dec1d18b", "wait_empty: after SliceConsumer emptied it"),
    Stock(f"{CONSUMER}.commit", "e43a7d03685f", "the way from _filter_tps_with_pending_acks to _commit_offsets"),
    Stock(f"{CONSUMER}.force_commit", "464b62ae9172", "as commit"),
    Stock(f"{CONSUMER}._commit_tps", "b83d551c3278", "as commit"),
    Stock(f"{CONSUMER}._filter_committable_offsets", "4fb75ba687d0", "asks _new_offset"),
    Stock(f"{CONSUMER}._should_commit", "91d8eb1ef6bf", "compares with _committed_offset"),
    Stock(f"{CONSUMER}.stop_flow", "aa77389dc23a", "flow_active, as SliceConsumer asks it"),
    Stock(f"{CONSUMER}.resume_flow", "192f20bc377f", "flow_active, as SliceConsumer asks it"),
    Stock(f"{CONSUMER}._set_active_tps", "5177b9c0b80e", "what _wait_next_records calls active"),
    Stock(
        f"{DRIVER}:Consumer._to_message",
        "a2a5aefda42d",
        "topics that are no inbox; SliceConsumer._slice fills the same fields",
    ),
    Stock(f"{DRIVER}:ConsumerRebalanceListener", "f3d04f29dfb3", "calls on_partitions_revoked before a rejoin"),
    Stock(f"{THREAD}._ensure_consumer", "a2c77687801c", "SliceConsumer asks its coordinator for the generation"),
    Stock(f"{THREAD}._create_worker_consumer", "c179c0bdb975", "which settings reach aiokafka"),
    Stock(f"{THREAD}._commit", "78c931ecfa8d", "False where a commit failed"),
    Stock(f"{THREAD}.highwater", "745f6cb71845", "lag"),
    Stock(f"{THREAD}.position", "733b7b57f3bc", "LaneRecovery, the compacted end of a changelog"),
    Stock("faust.transport.utils:DefaultSchedulingStrategy.iterate", "565d0388d858", "topics that are no inbox"),
    Stock(
        "faust.transport.conductor:ConductorCompiler.build", "70ded0e71910", "carries slices to the stream as messages"
    ),
    Stock("faust.types.tuples:Message.__init__", "34616bad2796", "SliceConsumer._slice passes all arguments"),
    Stock("faust.types.tuples:ConsumerMessage", "5edc45d571eb", "SliceMessage"),
    Stock("faust.events:Event.ack", "5e8bcc5ff1f1", "Pipeline.advance"),
    Stock(
        "faust.streams:Stream._py_aiter",
        "125c81c2d38d",
        "as the compiled twin: drops what it holds in a rebalance, which SliceConsumer.begin notices",
    ),
    Stock("faust.streams:Stream.noack", "40489cfbbb7d", "Lane.run: nobody but the pipeline acknowledges"),
    Stock("faust.streams:Stream.events", "bed628278776", "Lane.run"),
    Stock(
        f"{RECOVERY}._restart_recovery",
        "f93138b040ef",
        "the schedule that LaneRecovery serves; takes IllegalStateError for a rebalance",
    ),
    Stock(f"{RECOVERY}._wait", "768af810dce8", "a rebalance during recovery"),
    Stock(
        f"{RECOVERY}.on_recovery_completed", "895e7c415a4d", "swallows what a store raises: PartStore must die instead"
    ),
    Stock(f"{RECOVERY}._set_recovery_ended", "7ac139109d4e", "LaneRecovery calls it at the end"),
    Stock(f"{RECOVERY}.need_recovery", "c6860beac5d7", "LaneRecovery asks it"),
    Stock(f"{RECOVERY}.active_remaining", "cab3f5dcf2f9", "LaneRecovery._skip_compacted_tail"),
    Stock(f"{RECOVERY}.standby_remaining_total", "57f5c4138aaa", "LaneRecovery asks it"),
    Stock(f"{RECOVERY}._build_highwaters", "32d70220d2a8", "what a changelog offset is compared with"),
    Stock(f"{RECOVERY}._build_offsets", "0f5a7d62fb7d", "begins with persisted_offset"),
    Stock(f"{RECOVERY}._seek_offsets", "d76d5a8f46fa", "where changelogs are read from"),
    Stock(f"{MANAGER}.on_standbys_ready", "625a58e296a6", "LaneRecovery calls it"),
    Stock(f"{MANAGER}.changelog_topics", "554a0a7d20a7", "SliceConsumer tells changelogs by it"),
    Stock("faust.stores.rocksdb:Store._db_for_partition", "abc425297c75", "RocksStore._new_part"),
    Stock("faust.assignor.partition_assignor:PartitionAssignor.assigned_actives", "e0748d7d3bc1", "PartStore.owned"),
    Stock(f"{APP}.on_first_start", "a87e1f3590af", "calls _create_directories, before anything writes into them"),
    Stock(f"{APP}.create_event", "1d85387ec96b", "SliceSchema"),
    Stock(f"{APP}.on_rebalance_start", "34f7e4e29e5d", "rebalancing, rebalancing_count, as Health and Watch ask them"),
    Stock(f"{APP}.on_rebalance_end", "702029e30de7", "rebalancing, as Health and Watch ask it"),
    Stock(f"{APP}._on_partitions_revoked", "c1abd58dcb37", "order of a rebalance: stop, wait_empty, commit"),
    Stock(f"{APP}._on_partitions_assigned", "c9c5485eb273", "order of a rebalance: assign, recover, resume"),
    Stock("mode.utils.queues:FlowControlEvent.is_active", "272537214261", "SteadyFlow and LaneRecovery ask it"),
    Stock("mode.utils.futures:notify", "ef6a073439d5", "SliceConsumer.ack wakes wait_empty"),
    Stock("mode.supervisors:CrashingSupervisor", "37e805f0af21", "a lane's agent that fails ends the worker"),
    Stock("mode.worker:Worker.execute_from_commandline", "d441fd6a414d", "worker.run: it ends with SystemExit"),
    Stock(
        f"{FETCHER}.fetched_records",
        "e20ce0c8117f",
        "SliceThread: waits only where there is a timeout",
    ),
    Stock(f"{FETCHER}._proc_fetch_request", "ace04969424f", "SliceThread: makes results, wakes waiters"),
    Stock(f"{FETCHER}._create_fetch_waiter", "65046fcd40e7", "SliceThread waits by it"),
    Stock("aiokafka.consumer.fetcher:FetchResult", "d7db13f06de8", "what it asks of ParsedRecords"),
    Stock("aiokafka.consumer.fetcher:PartitionRecords", "94aa0da0dbec", "ParsedRecords stands in for it"),
    Stock("aiokafka.partitioner:murmur2", "62179ca18494", "Reads.partition agrees with all producers"),
    Stock(
        "aiokafka.consumer.consumer:AIOKafkaConsumer.highwater", "bfbfa9e4c3e5", "lag; an assertion during a rebalance"
    ),
    Stock("aiokafka.consumer.consumer:AIOKafkaConsumer.seek", "fec4e1829687", "an assertion during a rebalance"),
    Stock(
        "aiokafka.consumer.group_coordinator:GroupCoordinator.reset_generation",
        "3cb4a2490077",
        "lost membership: generation < 0",
    ),
)

ATTRIBUTES = (
    ("faust.transport.consumer:Consumer", "_unacked_messages", "SliceConsumer.begin, .ack, .forget"),
    ("faust.transport.consumer:Consumer", "_read_offset", "SliceConsumer.perform_seek"),
    ("faust.transport.consumer:Consumer", "_committed_offset", "SliceConsumer._commit_offsets"),
    ("faust.transport.consumer:Consumer", "_waiting_for_ack", "SliceConsumer.ack"),
    ("faust.transport.consumer:Consumer", "_buffered_partitions", "SliceConsumer._wanted"),
    ("faust.transport.consumer:Consumer", "scheduler", "SliceConsumer._slices"),
    ("faust.transport.consumer:Consumer", "flow_active", "SliceConsumer"),
    ("faust.transport.consumer:ThreadDelegateConsumer", "_thread", "SliceConsumer.on_partitions_revoked"),
    ("aiokafka.consumer.consumer:AIOKafkaConsumer", "_coordinator", "SliceConsumer.on_partitions_revoked"),
    ("aiokafka.consumer.group_coordinator:GroupCoordinator", "generation", "SliceConsumer.on_partitions_revoked"),
    ("aiokafka.consumer.consumer:AIOKafkaConsumer", "_fetcher", "SliceThread"),
    ("aiokafka.consumer.fetcher:Fetcher", "_records", "SliceThread"),
    ("aiokafka.consumer.fetcher:FetchResult", "_partition_records", "SliceThread"),
    ("aiokafka.consumer.fetcher:PartitionRecords", "_isolation_level", "SliceThread"),
    ("aiokafka.consumer.fetcher:PartitionRecords", "_records", "ParsedRecords"),
    ("aiokafka.consumer.fetcher:PartitionRecords", "_check_crcs", "ParsedRecords"),
    ("aiokafka.consumer.fetcher:PartitionRecords", "_tp", "ParsedRecords"),
    ("aiokafka.consumer.fetcher:PartitionRecords", "next_fetch_offset", "ParsedRecords"),
    ("faust.tables.recovery:Recovery", "active_tps", "LaneRecovery.apply"),
    ("faust.tables.recovery:Recovery", "standby_tps", "LaneRecovery.apply"),
    ("faust.tables.recovery:Recovery", "active_offsets", "LaneRecovery.apply, .lacking"),
    ("faust.tables.recovery:Recovery", "standby_offsets", "LaneRecovery.apply"),
    ("faust.tables.recovery:Recovery", "active_highwaters", "LaneRecovery._skip_compacted_tail"),
    ("faust.tables.recovery:Recovery", "tp_to_table", "LaneRecovery.apply"),
    ("faust.tables.recovery:Recovery", "_generation_id", "LaneRecovery._skip_compacted_tail"),
    ("faust.tables.recovery:Recovery", "in_recovery", "LaneRecovery._slurp_changelogs"),
    ("faust.tables.recovery:Recovery", "signal_recovery_end", "LaneRecovery._slurp_changelogs"),
    ("faust.tables.manager:TableManager", "_recovery", "LaneTableManager.recovery"),
    ("faust.tables.manager:TableManager", "actives_ready", "Reads.owned, Health, Watch"),
    ("faust.tables.manager:TableManager", "standbys_ready", "LaneRecovery._slurp_changelogs"),
    ("faust.stores.rocksdb:Store", "offset_key", "RocksStore: where the changelog offset is"),
    ("faust.app.base:App", "consumer_generation_id", "SliceConsumer: a slice of before a rebalance"),
    ("faust.app.base:App", "rebalancing", "Health, Watch"),
    ("faust.app.base:App", "rebalancing_count", "Watch"),
    ("faust.app.base:App", "assignor", "PartStore.owned"),
    ("faust.app.base:App", "monitor", "SliceConsumer._wanted"),
    ("faust.worker:Worker", "spinner", "worker.run takes it away"),
)
