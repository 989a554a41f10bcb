-- Adds a gap.
INSERT INTO custody_pas.gaps (tenant, record_id, cause, account, received_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;
