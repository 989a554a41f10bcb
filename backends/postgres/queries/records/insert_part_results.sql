-- Adds how fetches ended. Each argument is a column of all of them.
INSERT INTO custody_pas.part_results (
    tenant, origin_id, number, fingerprint, target_id, state, reason, witnessed,
    size, sha256, place, version, kept_at, shared
)
SELECT one.*, false FROM unnest(
    $1::text[], $2::text[], $3::integer[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::boolean[],
    $9::bigint[], $10::bytea[], $11::text[], $12::text[], $13::timestamptz[]
) AS one;
