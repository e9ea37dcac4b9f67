-- Every step of every command, as the ledger wrote it. Kept for 400 days. One row per record in Kafka; a service that
-- crashed repeats its last events there, under the same id. What a device's probes and fan-outs came to is in tables of
-- its own.
CREATE TABLE IF NOT EXISTS command_events (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  type LowCardinality(String) COMMENT 'what happened, such as command_sent',
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  request_id String CODEC(ZSTD(1)) COMMENT 'of a fan-out''s member: the fan-out''s id',
  state LowCardinality(String) COMMENT 'in which the step leaves the command; empty: a late reply, the state stays',
  mode LowCardinality(String) COMMENT 'cmd or rpc; as command and by in command_accepted only, else empty',
  command LowCardinality(String),
  by LowCardinality(String) COMMENT 'who asked: the name of an API key, or a service',
  attempt UInt32 COMMENT 'the how manieth sending; 0: not command_sent',
  message_id String CODEC(ZSTD(1)) COMMENT 'as the device named its reply; empty: no reply',
  rtt_ms Nullable(UInt64) CODEC(ZSTD(1)) COMMENT 'from the last sending to the reply; null: no reply in time',
  reason LowCardinality(String) COMMENT 'why it ended without a reply, else empty',
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  event String CODEC(ZSTD(3)) COMMENT 'all of it, with payloads, as JSON',
  stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1)),
  INDEX times at TYPE minmax,
  INDEX requests request_id TYPE bloom_filter
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, device_id, request_id, at, offset)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- Each command as it is now: the sum of its steps. Read it by command_ledger or commands_since, which add up what is
-- still in several rows. Kept until 400 days after a command's last step.
-- Every column is the greatest, or the earliest, that any step told: a step that is stored again, late, or among others
-- of its command changes nothing. A state never goes back, and ends exclude each other.
CREATE TABLE IF NOT EXISTS commands (
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  request_id String CODEC(ZSTD(1)) COMMENT 'as in command_events',
  fanout_id SimpleAggregateFunction(max, String) CODEC(ZSTD(1)) COMMENT 'that it is a member''s of; empty: none',
  mode SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'cmd, or rpc: whoever asked waited for the reply',
  command SimpleAggregateFunction(max, LowCardinality(String)),
  by SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'who asked',
  state SimpleAggregateFunction(max, Enum8('accepted' = 1, 'queued' = 2, 'sent' = 3, 'delivered' = 4, 'replied' = 5,
    'failed' = 6, 'rejected' = 7, 'expired' = 8, 'cancelled' = 9, 'timed_out' = 10))
    COMMENT 'in the order of a command''s life; from replied on it is over, and never changes',
  attempts SimpleAggregateFunction(max, UInt32) COMMENT 'sendings that the broker acknowledged',
  accepted_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) CODEC(ZSTD(1))
    COMMENT 'null: its acceptance is not stored, as of all that command_accepted alone tells',
  expires_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) CODEC(ZSTD(1)),
  sent_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))) CODEC(ZSTD(1))
    COMMENT 'when the broker acknowledged it last; null: it never did',
  delivered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) CODEC(ZSTD(1))
    COMMENT 'when the device acknowledged it; null: it did not, or the broker does not tell',
  ended_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) CODEC(ZSTD(1)) COMMENT 'null: it is open',
  reason SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'why it ended without a reply, else empty',
  rtt_ms SimpleAggregateFunction(max, Nullable(UInt64)) CODEC(ZSTD(1)) COMMENT 'as in command_events',
  reply SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), message_id String, encoding String,
    payload String)) CODEC(ZSTD(1)) COMMENT 'the one in time, payload as in its event: only where state is replied',
  late_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) CODEC(ZSTD(1))
    COMMENT 'when the first reply came that was late; null: none',
  late_reply SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), message_id String, encoding String,
    payload String)) CODEC(ZSTD(1)) COMMENT 'the newest of those: only where late_at is not null',
  at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(DoubleDelta, ZSTD(1)) COMMENT 'of its newest step',
  INDEX requests request_id TYPE bloom_filter,
  INDEX expiries expires_at TYPE minmax
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, device_id, request_id)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- One row for each probe that came to its verdict. Kept for 400 days. Repeated events have the same id and replace each
-- other: read it with FINAL.
CREATE TABLE IF NOT EXISTS probes (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  probe_id String CODEC(ZSTD(1)),
  mode LowCardinality(String) COMMENT 'strict, normal or loose: unreachable after one, two or three misses in a row',
  verdict LowCardinality(String) COMMENT 'reachable or unreachable',
  attempts UInt32,
  rtt_ms Nullable(UInt64) CODEC(ZSTD(1)) COMMENT 'of the attempt that was answered; null: none was',
  altered Bool COMMENT 'it answered, but not with the bytes that it was sent',
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, device_id, at, id)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- What each partition of commands.inbox did with a fan-out: one row per fan-out and partition, kept for 400 days.
-- Repeated events replace each other: sum with FINAL. What became of the members since, commands knows: a member's
-- request_id is the fan-out's id.
CREATE TABLE IF NOT EXISTS fanouts (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  fanout_id String CODEC(ZSTD(1)),
  product_id LowCardinality(String),
  tag LowCardinality(String),
  answered_by UInt16 COMMENT 'the partition of commands.inbox whose devices are counted',
  members UInt64 COMMENT 'devices that carried the tag; each is in one of the next four',
  accepted UInt64 COMMENT 'on their way to the broker',
  queued UInt64 COMMENT 'not online, they wait',
  refused UInt64 COMMENT 'they had as many commands open as they may',
  rejected UInt64 COMMENT 'of an rpc: they were offline',
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (fanout_id, product_id, answered_by)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;
