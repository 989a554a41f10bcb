-- Dead letters, oldest first; by their gap records where two logs had one at the same place.
-- $1 tenant or NULL for all, $2 whether the settled ones too.
SELECT tenant, topic, partition, log_offset, gap_record_id, code, attempts, at, state
FROM custody_pas.dead_letters
WHERE ($1::text IS NULL OR tenant = $1) AND ($2 OR state = 'open')
ORDER BY at, topic COLLATE "C", partition, log_offset, gap_record_id COLLATE "C";
