-- Inserts the parts that records name. Each argument is a column of all of them.
INSERT INTO custody_pas.parts (
    tenant, record_id, number, media_kind, mime, origin_id, fingerprint, target_id, kept_at
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[],
    $9::timestamptz[]
)
ON CONFLICT DO NOTHING;
