-- Inserts a provider object, unless another record named it before.
INSERT INTO custody_pas.targets (
    tenant, target_id, account, provider, conversation, object_kind, object_id,
    not_before, erase_after_seconds, expires_at, changed_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING;
