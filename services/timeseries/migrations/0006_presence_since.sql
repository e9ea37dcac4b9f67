-- From when on a transition's state holds, as far as was known when it was written: a late event settles the past.
ALTER TABLE presence_transitions
  ADD COLUMN IF NOT EXISTS since Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1))
  COMMENT 'from when on the new state holds, as far as was known; null in rows from before this column: at'
  AFTER observed_at;

-- Every device's session at a moment, as it is known now: SELECT * FROM presence_at(moment = '2026-01-31 12:00:00').
-- The last transition that speaks of the moment has the last word: a close from before a lapse may be heard after it.
-- unknown: nobody watched, and no later transition has settled it. A device without a row was never seen before that
-- moment, or has last changed before it more than 400 days ago: transitions are not kept for longer.
-- Last is what was stored last: offsets begin anew if the topic is made anew, and in one partition blocks are stored
-- one after the other. Times of Kafka's records come from several machines, whose clocks may differ.
CREATE OR REPLACE VIEW presence_at AS
SELECT
  t.product_id AS product_id, t.device_id AS device_id,
  argMaxIf(t.new, (t.stored_at, t.offset), coalesce(t.since, t.at) <= {moment:DateTime64(3, 'UTC')}) AS state,
  if(
    state = 'offline', '',
    argMaxIf(t.channel_id, (t.stored_at, t.offset), t.at <= {moment:DateTime64(3, 'UTC')} AND t.channel_id != '')
  ) AS channel_id,
  argMaxIf(
    coalesce(t.since, t.at), (t.stored_at, t.offset), coalesce(t.since, t.at) <= {moment:DateTime64(3, 'UTC')}
  ) AS since
FROM presence_transitions AS t
WHERE least(t.at, coalesce(t.since, t.at)) <= {moment:DateTime64(3, 'UTC')}
GROUP BY t.product_id, t.device_id
HAVING state != '';
