-- Inserts provider objects, in the order given, unless other records named them before. Each argument is a column.
INSERT INTO custody_pas.targets (
    tenant, target_id, account, provider, conversation, object_kind, object_id,
    not_before, erase_after_seconds, expires_at, changed_at
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[],
    $8::timestamptz[], $9::double precision[], $10::timestamptz[], $11::timestamptz[]
)
ON CONFLICT DO NOTHING;
