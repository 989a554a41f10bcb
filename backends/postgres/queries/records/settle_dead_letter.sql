-- A dead letter's other try went well: it is settled, and its gap closed.
WITH settled AS (
    UPDATE custody_pas.dead_letters
    SET state = 'settled'
    WHERE log = $1 AND topic = $2 AND partition = $3 AND log_offset = $4
    RETURNING tenant, gap_record_id
)
UPDATE custody_pas.gaps AS gap
SET state = 'closed'
FROM settled
WHERE gap.tenant = settled.tenant AND gap.record_id = settled.gap_record_id;
