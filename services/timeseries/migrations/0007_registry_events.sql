-- Every change of a product, a device or an API key, as the registry wrote it. Kept for ever: the history stays.
CREATE TABLE IF NOT EXISTS registry_events (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  type LowCardinality(String) COMMENT 'what happened, such as device_registered',
  product_id LowCardinality(String) COMMENT 'empty for API keys',
  device_id String CODEC(ZSTD(1)) COMMENT 'empty for products and API keys',
  key_id String CODEC(ZSTD(1)) COMMENT 'of an API key that was issued or revoked, else empty',
  version UInt64 CODEC(ZSTD(1)) COMMENT 'of the document that the event leads to; 0 for API keys',
  by LowCardinality(String) COMMENT 'who asked: the name of an API key, or a service; empty: nobody, time did it',
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  event String CODEC(ZSTD(3)) COMMENT 'all of it, as JSON',
  stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYear(at)
ORDER BY (product_id, device_id, at, offset)
SETTINGS non_replicated_deduplication_window = 10000;
