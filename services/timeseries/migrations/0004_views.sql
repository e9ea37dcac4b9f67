-- Device messages that arrived more than once: the device repeated them, or its broker delivered them again.
CREATE VIEW IF NOT EXISTS telemetry_duplicates AS
SELECT
  product_id, device_id, data_type, message_id,
  count() AS arrivals,
  min(received_at) AS first_received_at,
  max(received_at) AS last_received_at
FROM raw_events
WHERE type = 'data_uploaded'
GROUP BY product_id, device_id, data_type, message_id
HAVING arrivals > 1;

-- Every device's session at a moment: SELECT * FROM presence_at(moment = '2026-01-31 12:00:00').
-- A device without a row was never seen before that moment.
CREATE VIEW IF NOT EXISTS presence_at AS
SELECT
  product_id, device_id,
  argMax(new, (at, offset)) AS state,
  argMax(channel_id, (at, offset)) AS channel_id,
  max(at) AS since
FROM presence_transitions
WHERE at <= {moment:DateTime64(3, 'UTC')}
GROUP BY product_id, device_id;
