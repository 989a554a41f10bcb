-- Locks the dead letters that a batch tries again, while they are open.
-- $1 log, $2 topics, $3 partitions, $4 offsets: arrays of one length.
SELECT topic, partition, log_offset
FROM custody_pas.dead_letters
WHERE log = $1 AND state = 'open'
  AND (topic, partition, log_offset) IN (SELECT * FROM unnest($2::text[], $3::integer[], $4::bigint[]))
ORDER BY topic COLLATE "C", partition, log_offset
FOR UPDATE;
