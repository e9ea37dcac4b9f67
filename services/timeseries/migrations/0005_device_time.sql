-- The device's own time, where its payload gives one; docs/adr/0010-devices-tell-their-time.md says which is believed.
ALTER TABLE raw_events
  ADD COLUMN IF NOT EXISTS device_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1))
  COMMENT 'what the device gave as its time, believed or not; null where it gave none that fits'
  AFTER received_at;

ALTER TABLE metrics COMMENT COLUMN IF EXISTS ts 'the device''s own time where it is believed, else when the hub received it';
ALTER TABLE metric_strings COMMENT COLUMN IF EXISTS ts 'as in metrics';
