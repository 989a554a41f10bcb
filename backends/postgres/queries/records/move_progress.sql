-- Moves one partition's progress; its row is locked.
UPDATE custody_pas.progress
SET start_offset = $4, next_offset = $5, duplicates = $6, redriven = $7, lost = $8, keep_seq = $9, last_event_id = $10
WHERE log = $1 AND topic = $2 AND partition = $3;
