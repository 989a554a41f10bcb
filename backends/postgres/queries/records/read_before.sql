-- How far the store came in the logs that this one has taken the place of. $1 tenant, $2 log, $3 topics.
SELECT log, topic, partition, start_offset, next_offset, duplicates, redriven, lost, keep_seq, last_event_id, successor
FROM custody_pas.progress
WHERE tenant = $1 AND successor = $2 AND topic = ANY ($3::text[]) AND next_offset IS NOT NULL
ORDER BY log COLLATE "C", topic COLLATE "C", partition;
