-- A dead letter died again: why, how often, when. Its gap record stays the first one.
UPDATE custody_pas.dead_letters
SET code = $5, attempts = $6, at = $7
WHERE log = $1 AND topic = $2 AND partition = $3 AND log_offset = $4 AND state = 'open';
