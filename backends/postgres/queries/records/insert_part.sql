-- Inserts a part that a record names.
INSERT INTO custody_pas.parts (
    tenant, record_id, number, media_kind, mime, origin_id, fingerprint, target_id, kept_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING;
