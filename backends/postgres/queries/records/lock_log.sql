-- Locks a tenant's progress rows in one log. $1 tenant, $2 log.
SELECT topic, partition, start_offset, next_offset, duplicates, redriven, lost, keep_seq, last_event_id, successor
FROM custody_pas.progress
WHERE tenant = $1 AND log = $2
ORDER BY topic COLLATE "C", partition
FOR UPDATE;
