-- Where a log is to be kept from, in partitions that nothing was kept of yet.
-- $1 log, $2 topic, $3 partition, $4 tenant, $5 first offset.
INSERT INTO custody_pas.progress AS progress (log, topic, partition, tenant, start_offset, next_offset)
VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (log, topic, partition) DO UPDATE
SET start_offset = excluded.start_offset, next_offset = excluded.next_offset
WHERE progress.next_offset IS NULL;
