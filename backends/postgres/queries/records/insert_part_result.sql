-- Adds how a fetch ended.
INSERT INTO custody_pas.part_results (
    tenant, origin_id, number, fingerprint, target_id, state, reason, witnessed, shared,
    size, sha256, place, version, kept_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, false, $9, $10, $11, $12, $13);
