-- When a request failed under its key: it may have come about, and is asked for again. It is kept as long as answers are; until now it was
-- marked as begun at the epoch, and went with the oldest of them.
alter table api_answer add column failed_at timestamptz;
update api_answer set started_at = now(), failed_at = now() where status is null and started_at = to_timestamp(0);
