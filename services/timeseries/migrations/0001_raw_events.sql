-- Every telemetry event as it stands in Kafka; everything else about telemetry can be made from it again.
-- Kept for 90 days. One row per (topic, partition, offset): the deduplication window remembers the sink's blocks.
CREATE TABLE IF NOT EXISTS raw_events (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  type LowCardinality(String) COMMENT 'data_uploaded or device_message_sent',
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  data_type LowCardinality(String) COMMENT 'empty for device_message_sent',
  to_device_id String CODEC(ZSTD(1)) COMMENT 'the addressee of device_message_sent, else empty',
  message_id String CODEC(ZSTD(1)),
  encoding LowCardinality(String) COMMENT 'json: payload is the JSON as sent; base64: payload is the bytes in base64',
  payload String CODEC(ZSTD(3)),
  received_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (product_id, device_id, received_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000;
