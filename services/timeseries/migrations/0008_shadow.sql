-- Every change of a shadow and every refusal, as the shadow service wrote it. Kept for ever: any past version can be
-- asked for. One row per record in Kafka; a service that crashed repeats its last events there, under the same id.
-- By version, since that is the order of a shadow's history; times of several machines only nearly are. A device that
-- was deleted and registered anew begins at version 1 again, with another created_at.
CREATE TABLE IF NOT EXISTS shadow_events (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  type LowCardinality(String) COMMENT 'shadow_changed or shadow_change_refused',
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  shadow LowCardinality(String) COMMENT 'name of a named shadow; empty: the device''s own',
  cause LowCardinality(String) COMMENT 'what changed it, such as desired_changed; empty: refused',
  via LowCardinality(String) COMMENT 'api, tag, template, registry, or the dialect in which the device spoke',
  by LowCardinality(String) COMMENT 'device, template, registry, or the name of an API key',
  code LowCardinality(String) COMMENT 'why it was refused; empty: it was not',
  version_before UInt64 CODEC(Delta, ZSTD(1)),
  version UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'of the document after it; of a refusal: that stayed',
  desired_version UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'at which desired was changed last; 0: refused, or never',
  reported_version UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'at which reported was changed last; 0: refused, or never',
  created_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'of the document; null: refused',
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  has_checkpoint Bool COMMENT 'event says all that the document was before: a replay may begin here',
  converged Bool COMMENT 'desired and reported agree after it; false where it was refused',
  pending_since Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1))
    COMMENT 'when the oldest of the fields in which they differ began to; null: they agree, or it was refused',
  patch_id String CODEC(ZSTD(1)) COMMENT 'of the patch by tag that it is due to, else empty',
  event String CODEC(ZSTD(3)) COMMENT 'all of it, as JSON',
  stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1)),
  INDEX times at TYPE minmax
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, device_id, shadow, version, at, offset)
SETTINGS non_replicated_deduplication_window = 10000;

-- How far each shadow is: its newest change. What is stored last replaces the row before, at a merge or by FINAL: all
-- changes of a shadow are in one partition of Kafka, whose blocks are stored one after the other.
CREATE TABLE IF NOT EXISTS shadow_current (
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  shadow LowCardinality(String) COMMENT 'as in shadow_events',
  version UInt64,
  desired_version UInt64,
  reported_version UInt64,
  created_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
  deleted Bool COMMENT 'it is no more',
  converged Bool,
  pending_since Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'as in shadow_events',
  delta String CODEC(ZSTD(3)) COMMENT 'desired minus reported, as JSON; empty: they agree'
)
ENGINE = ReplacingMergeTree
ORDER BY (product_id, device_id, shadow)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row for each field that was reported as desired after it had not been. Kept for 400 days. Repeated events have
-- the same id and replace each other.
CREATE TABLE IF NOT EXISTS shadow_convergence (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'of the shadow_changed that said it',
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  shadow LowCardinality(String) COMMENT 'as in shadow_events',
  path LowCardinality(String) COMMENT 'JSON Pointer into desired; an array is one field',
  since DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'when it was desired so, or began to differ',
  converged_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  ms UInt64 CODEC(ZSTD(1)) COMMENT 'from since to converged_at; 0 where the clocks of two machines contradict',
  drifted Bool COMMENT 'a report began the difference, nobody had changed what is desired',
  version UInt64 CODEC(ZSTD(1)) COMMENT 'of the document that agreed'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(converged_at)
ORDER BY (product_id, converged_at, device_id, shadow, path, id)
TTL toDateTime(converged_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- Every change of what a device reports as its status. Kept for 400 days.
CREATE TABLE IF NOT EXISTS status_events (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  product_id LowCardinality(String),
  device_id String CODEC(ZSTD(1)),
  message_id String CODEC(ZSTD(1)) COMMENT 'as the device named its report',
  status String CODEC(ZSTD(3)) COMMENT 'all of it, as JSON',
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, device_id, at, offset)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- What each partition of shadow.inbox answered to a patch by tag: one row per patch and partition, kept for 400 days.
-- Repeated answers replace each other: sum with FINAL.
CREATE TABLE IF NOT EXISTS shadow_patches (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)) COMMENT 'the cause in Kafka: topic-partition-offset-n',
  product_id LowCardinality(String),
  patch_id String CODEC(ZSTD(1)),
  answered_by UInt16 COMMENT 'the partition of shadow.inbox whose devices are counted',
  tag LowCardinality(String),
  shadow LowCardinality(String) COMMENT 'as in shadow_events',
  matched UInt64 COMMENT 'devices that carried the tag; each is in changed or in refused',
  changed UInt64,
  refused UInt64,
  by LowCardinality(String),
  at DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, patch_id, answered_by)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- What a patch by tag did to each device: of shadow_events the rows that have a patch_id, by patch. Kept for 400 days.
CREATE TABLE IF NOT EXISTS shadow_patch_members (
  topic LowCardinality(String),
  partition UInt16,
  offset UInt64 CODEC(Delta, ZSTD(1)),
  id String CODEC(ZSTD(1)),
  product_id LowCardinality(String),
  patch_id String CODEC(ZSTD(1)),
  device_id String CODEC(ZSTD(1)),
  shadow LowCardinality(String) COMMENT 'as in shadow_events',
  code LowCardinality(String) COMMENT 'why it was refused; empty: changed',
  pending Array(LowCardinality(String)) CODEC(ZSTD(1))
    COMMENT 'fields that the patch set and that were not reported so, as path in shadow_convergence',
  version UInt64 CODEC(ZSTD(1)) COMMENT 'of the document after it',
  created_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'of the document; null: refused',
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (product_id, patch_id, device_id, shadow)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;
