-- Numbers and booleans (0 and 1) of JSON payloads, one row each. Kept for 400 days: a year and what compares with it.
CREATE TABLE IF NOT EXISTS metrics (
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  data_type LowCardinality(String),
  key LowCardinality(String) COMMENT 'path in the payload, such as engine.rpm or cells[2].voltage',
  ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the hub received it',
  value Float64 CODEC(ZSTD(1)),
  topic LowCardinality(String),
  partition UInt16 CODEC(ZSTD(1)),
  offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (product_id, device_id, key, data_type, ts)
TTL toDateTime(ts) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- Texts of JSON payloads: states, versions, names.
CREATE TABLE IF NOT EXISTS metric_strings (
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  data_type LowCardinality(String),
  key LowCardinality(String),
  ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  value String CODEC(ZSTD(1)),
  topic LowCardinality(String),
  partition UInt16 CODEC(ZSTD(1)),
  offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (product_id, device_id, key, data_type, ts)
TTL toDateTime(ts) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;
