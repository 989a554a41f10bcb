-- Locks the progress rows of a batch's partitions, in the order that everybody takes them in.
-- $1 log, $2 topics, $3 partitions: two arrays of one length.
SELECT topic, partition, start_offset, next_offset, duplicates, redriven, lost, keep_seq, last_event_id, successor
FROM custody_pas.progress
WHERE log = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::integer[]))
ORDER BY topic COLLATE "C", partition
FOR UPDATE;
