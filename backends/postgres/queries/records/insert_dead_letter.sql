-- Adds a dead letter.
INSERT INTO custody_pas.dead_letters (
    log, topic, partition, log_offset, tenant, gap_record_id, account, received_at, code, attempts, at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING;
