-- How far the store is in a log's topics. $1 log, $2 topics.
SELECT topic, partition, start_offset, next_offset, duplicates, redriven, lost, keep_seq, last_event_id, successor
FROM custody_pas.progress
WHERE log = $1 AND topic = ANY ($2::text[]) AND next_offset IS NOT NULL;
