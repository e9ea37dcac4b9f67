-- How long devices take to become as they are desired, by steps of so many seconds from 1970 on, UTC:
-- SELECT * FROM shadow_convergence_by_product(step = 3600) WHERE product_id = 'weather-v2' ORDER BY begin.
-- By field, from the moment at which it was desired; differences that a report began are left out.
CREATE VIEW IF NOT EXISTS shadow_convergence_by_product AS
SELECT
  product_id,
  toStartOfInterval(converged_at, toIntervalSecond({step:UInt32})) AS begin,
  count() AS fields,
  quantileExact(0.5)(ms) AS p50_ms,
  quantileExact(0.99)(ms) AS p99_ms
FROM shadow_convergence FINAL
WHERE NOT drifted
GROUP BY product_id, begin;

-- Shadows in which desired and reported differ now.
CREATE VIEW IF NOT EXISTS shadow_not_converged AS
SELECT
  product_id, device_id, shadow,
  coalesce(pending_since, at) AS since,
  greatest(0, dateDiff('second', since, now64(3, 'UTC'))) AS seconds,
  version, desired_version, reported_version, delta
FROM shadow_current FINAL
WHERE NOT converged AND NOT deleted;

-- What came of a patch by tag: SELECT * FROM shadow_patch_progress(product = 'lock-a1', patch = '01JT8W6Z0009').
-- No row: nobody has answered yet. partitions: how many have. converged: of the changed devices those that have since
-- reported each field as the patch set it. One of which something else is desired before that never does.
CREATE VIEW IF NOT EXISTS shadow_patch_progress AS
SELECT p.product_id AS product_id, p.patch_id AS patch_id, p.tag AS tag, p.shadow AS shadow, p.by AS by, p.at AS at,
  p.partitions AS partitions, p.matched AS matched, p.changed AS changed, p.refused AS refused,
  m.converged AS converged
FROM (
  SELECT
    product_id, patch_id, any(tag) AS tag, any(shadow) AS shadow, any(by) AS by, max(at) AS at,
    count() AS partitions, sum(matched) AS matched, sum(changed) AS changed, sum(refused) AS refused
  FROM shadow_patches FINAL
  WHERE product_id = {product:String} AND patch_id = {patch:String}
  GROUP BY product_id, patch_id
) AS p
CROSS JOIN (
  SELECT countIf(done) AS converged
  FROM (
    SELECT
      length(any(member.pending)) = uniqExactIf(field.path,
        has(member.pending, field.path) AND field.since <= member.at AND field.version > member.version) AS done
    FROM (
      SELECT device_id, shadow, pending, version, at FROM shadow_patch_members FINAL
      WHERE product_id = {product:String} AND patch_id = {patch:String} AND code = ''
    ) AS member
    LEFT JOIN (
      WITH (
        SELECT (min(at), max(at)) FROM shadow_patch_members
        WHERE product_id = {product:String} AND patch_id = {patch:String} AND code = ''
      ) AS times
      SELECT device_id, shadow, path, since, version FROM shadow_convergence
      WHERE product_id = {product:String} AND converged_at >= times.1 AND since <= times.2
    ) AS field ON field.device_id = member.device_id AND field.shadow = member.shadow
    GROUP BY member.device_id, member.shadow
  )
) AS m;

-- What a replay needs to make a shadow as it was at a version: the newest checkpoint and all events since, in order,
-- each once: SELECT event FROM shadow_replay(product = 'lock-a1', device = 'door-0042', shadow = '', version = 7).
-- Of a device that was deleted and registered anew, and so had that version twice: the newer one. No row: it never had.
CREATE VIEW IF NOT EXISTS shadow_replay AS
WITH
  (
    SELECT max(created_at) FROM shadow_events
    WHERE product_id = {product:String} AND device_id = {device:String} AND shadow = {shadow:String}
      AND type = 'shadow_changed' AND version = {version:UInt64}
  ) AS document,
  (
    SELECT max(version) FROM shadow_events
    WHERE product_id = {product:String} AND device_id = {device:String} AND shadow = {shadow:String}
      AND type = 'shadow_changed' AND version <= {version:UInt64} AND created_at = document AND has_checkpoint
  ) AS checkpoint
SELECT version, at, event
FROM shadow_events
WHERE product_id = {product:String} AND device_id = {device:String} AND shadow = {shadow:String}
  AND type = 'shadow_changed' AND version BETWEEN checkpoint AND {version:UInt64} AND created_at = document
ORDER BY version, offset
LIMIT 1 BY version;
