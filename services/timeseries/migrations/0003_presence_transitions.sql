-- Every change of a device's session, as the presence service wrote it. Kept for 400 days.
CREATE TABLE IF NOT EXISTS presence_transitions (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  old LowCardinality(String) COMMENT 'online, offline or unknown',
  new LowCardinality(String),
  cause LowCardinality(String),
  reason String CODEC(ZSTD(1)) COMMENT 'the source''s own words; empty where it gave none',
  client_id String CODEC(ZSTD(1)),
  channel_id String CODEC(ZSTD(1)) COMMENT 'carries the session since; empty when offline',
  previous_channel_id String CODEC(ZSTD(1)),
  source LowCardinality(String),
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when it happened, by the source''s clock',
  observed_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when Kafka had the observation',
  stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, device_id, at, offset)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;
