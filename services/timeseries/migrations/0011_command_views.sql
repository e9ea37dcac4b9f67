-- Each command as it is now, whole: SELECT * FROM command_ledger WHERE product_id = 'lock-a1' AND device_id = 'door-0042'.
-- It is exact whatever was repeated, and however far ClickHouse has merged. Name product and device, or request_id.
CREATE VIEW IF NOT EXISTS command_ledger AS
SELECT
  c.product_id AS product_id, c.device_id AS device_id, c.request_id AS request_id,
  max(c.fanout_id) AS fanout_id,
  max(c.mode) AS mode,
  max(c.command) AS command,
  max(c.by) AS by,
  max(c.state) AS state,
  max(c.attempts) AS attempts,
  min(c.accepted_at) AS accepted_at,
  min(c.expires_at) AS expires_at,
  max(c.sent_at) AS sent_at,
  min(c.delivered_at) AS delivered_at,
  min(c.ended_at) AS ended_at,
  max(c.reason) AS reason,
  max(c.rtt_ms) AS rtt_ms,
  max(c.reply) AS reply,
  min(c.late_at) AS late_at,
  max(c.late_reply) AS late_reply,
  max(c.at) AS at
FROM commands AS c
GROUP BY c.product_id, c.device_id, c.request_id;

-- Of command_ledger the commands with which anything has happened since a moment:
-- SELECT * FROM commands_since(since = '2026-01-31 12:00:00'). It reads what happened since, and of what began before
-- that only these commands: questions about a time begin here. Ten minutes more are read, since times are several
-- machines': a step may be earlier than the one before it.
CREATE VIEW IF NOT EXISTS commands_since AS
SELECT
  c.product_id AS product_id, c.device_id AS device_id, c.request_id AS request_id,
  max(c.fanout_id) AS fanout_id,
  max(c.mode) AS mode,
  max(c.command) AS command,
  max(c.by) AS by,
  max(c.state) AS state,
  max(c.attempts) AS attempts,
  min(c.accepted_at) AS accepted_at,
  min(c.expires_at) AS expires_at,
  max(c.sent_at) AS sent_at,
  min(c.delivered_at) AS delivered_at,
  min(c.ended_at) AS ended_at,
  max(c.reason) AS reason,
  max(c.rtt_ms) AS rtt_ms,
  max(c.reply) AS reply,
  min(c.late_at) AS late_at,
  max(c.late_reply) AS late_reply,
  max(c.at) AS at
FROM (
  SELECT * FROM commands WHERE at >= {since:DateTime64(3, 'UTC')} - INTERVAL 10 MINUTE
  UNION ALL
  SELECT * FROM commands
  WHERE at < {since:DateTime64(3, 'UTC')} - INTERVAL 10 MINUTE AND (product_id, device_id, request_id) IN (
    SELECT product_id, device_id, request_id FROM commands
    WHERE at >= {since:DateTime64(3, 'UTC')} - INTERVAL 10 MINUTE
    GROUP BY product_id, device_id, request_id
    HAVING isNull(min(accepted_at))
  )
) AS c
GROUP BY c.product_id, c.device_id, c.request_id
HAVING max(c.at) >= {since:DateTime64(3, 'UTC')};

-- How long devices take to reply, by steps of so many seconds from 1970 on, UTC:
-- SELECT * FROM command_reply_times(since = '2026-01-31 12:00:00', step = 3600) WHERE product_id = 'lock-a1'.
-- From the last sending to the reply's arrival; only commands that were replied to in time.
CREATE VIEW IF NOT EXISTS command_reply_times AS
SELECT
  product_id, command, mode,
  toStartOfInterval(assumeNotNull(ended_at), toIntervalSecond({step:UInt32})) AS begin,
  count() AS replies,
  quantileExact(0.5)(assumeNotNull(rtt_ms)) AS p50_ms,
  quantileExact(0.99)(assumeNotNull(rtt_ms)) AS p99_ms
FROM commands_since(since = {since:DateTime64(3, 'UTC')})
WHERE state = 'replied' AND ended_at >= {since:DateTime64(3, 'UTC')}
GROUP BY product_id, command, mode, begin;

-- What became of the commands that were accepted since a moment:
-- SELECT * FROM command_counts(since = '2026-01-31 12:00:00').
CREATE VIEW IF NOT EXISTS command_counts AS
SELECT product_id, command, mode, state, count() AS commands
FROM commands_since(since = {since:DateTime64(3, 'UTC')})
WHERE accepted_at >= {since:DateTime64(3, 'UTC')}
GROUP BY product_id, command, mode, state;

-- Commands that are not over. Left out are those whose time was over a day ago: the ledger has ended them, or its events
-- have not come here for a day.
CREATE VIEW IF NOT EXISTS commands_open AS
SELECT
  c.product_id AS product_id, c.device_id AS device_id, c.request_id AS request_id,
  max(c.fanout_id) AS fanout_id,
  max(c.mode) AS mode,
  max(c.command) AS command,
  max(c.by) AS by,
  max(c.state) AS state,
  max(c.attempts) AS attempts,
  min(c.accepted_at) AS accepted_at,
  min(c.expires_at) AS expires_at,
  max(c.sent_at) AS sent_at
FROM commands AS c
WHERE (c.product_id, c.device_id, c.request_id) IN (
  SELECT product_id, device_id, request_id FROM commands
  WHERE expires_at >= now64(3) - INTERVAL 1 DAY AND state < 'replied'
)
GROUP BY c.product_id, c.device_id, c.request_id
HAVING max(c.state) < 'replied';

-- Commands whose time was over without an answer, neither then nor late, of those that ended since a moment:
-- SELECT * FROM commands_unanswered(since = '2026-01-31 12:00:00'). attempts: 0, the device never got it.
CREATE VIEW IF NOT EXISTS commands_unanswered AS
SELECT product_id, device_id, request_id, fanout_id, mode, command, state, attempts, accepted_at, sent_at, ended_at
FROM commands_since(since = {since:DateTime64(3, 'UTC')})
WHERE state IN ('expired', 'timed_out') AND isNull(late_at) AND ended_at >= {since:DateTime64(3, 'UTC')};

-- Commands to which a reply came when they were over, of those whose first one came since a moment:
-- SELECT * FROM commands_replied_late(since = '2026-01-31 12:00:00'). late_ms: after its end.
CREATE VIEW IF NOT EXISTS commands_replied_late AS
SELECT
  product_id, device_id, request_id, fanout_id, mode, command, state, attempts, ended_at, late_at,
  greatest(0, dateDiff('millisecond', ended_at, late_at)) AS late_ms
FROM commands_since(since = {since:DateTime64(3, 'UTC')})
WHERE late_at >= {since:DateTime64(3, 'UTC')};

-- What became of a fan-out: SELECT * FROM fanout_progress(fanout = 'f-01JT8W70'). No row: nobody has answered yet.
-- partitions: how many have. members to refused: as they found it; the rest: the members' commands as they are now.
-- sent: the broker acknowledged it at least once, whatever came of it since. late: replied when it was over.
CREATE VIEW IF NOT EXISTS fanout_progress AS
SELECT f.fanout_id AS fanout_id, f.product_id AS product_id, f.tag AS tag, f.at AS at, f.partitions AS partitions,
  f.members AS members, f.accepted AS accepted, f.queued AS queued, f.refused AS refused, f.rejected AS rejected,
  m.open AS open, m.waiting AS waiting, m.sent AS sent, m.delivered AS delivered, m.replied AS replied,
  m.failed AS failed, m.expired AS expired, m.cancelled AS cancelled, m.timed_out AS timed_out, m.late AS late
FROM (
  SELECT
    fanout_id, product_id, any(tag) AS tag, min(at) AS at, count() AS partitions, sum(members) AS members,
    sum(accepted) AS accepted, sum(queued) AS queued, sum(refused) AS refused, sum(rejected) AS rejected
  FROM fanouts FINAL
  WHERE fanout_id = {fanout:String}
  GROUP BY fanout_id, product_id
) AS f
CROSS JOIN (
  WITH (SELECT min(at) - INTERVAL 1 DAY FROM fanouts WHERE fanout_id = {fanout:String}) AS begin
  SELECT
    countIf(state < 'replied') AS open,
    countIf(state IN ('accepted', 'queued')) AS waiting,
    countIf(isNotNull(sent_at)) AS sent,
    countIf(isNotNull(delivered_at)) AS delivered,
    countIf(state = 'replied') AS replied,
    countIf(state = 'failed') AS failed,
    countIf(state = 'expired') AS expired,
    countIf(state = 'cancelled') AS cancelled,
    countIf(state = 'timed_out') AS timed_out,
    countIf(isNotNull(late_at)) AS late
  FROM (
    SELECT max(c.state) AS state, max(c.sent_at) AS sent_at, min(c.delivered_at) AS delivered_at,
      min(c.late_at) AS late_at
    FROM commands AS c
    WHERE c.request_id = {fanout:String} AND c.at >= begin
      AND c.product_id IN (SELECT product_id FROM fanouts WHERE fanout_id = {fanout:String})
    GROUP BY c.product_id, c.device_id
  )
) AS m;

-- What probes found, by steps of so many seconds: SELECT * FROM probe_verdicts(step = 3600) WHERE product_id = 'lock-a1'.
CREATE VIEW IF NOT EXISTS probe_verdicts AS
SELECT
  product_id,
  toStartOfInterval(at, toIntervalSecond({step:UInt32})) AS begin,
  countIf(verdict = 'reachable') AS reachable,
  countIf(verdict = 'unreachable') AS unreachable,
  countIf(altered) AS altered,
  quantileExactIf(0.5)(assumeNotNull(rtt_ms), isNotNull(rtt_ms)) AS p50_ms,
  quantileExactIf(0.99)(assumeNotNull(rtt_ms), isNotNull(rtt_ms)) AS p99_ms
FROM probes FINAL
GROUP BY product_id, begin;
