-- Gives the bytes kept for one part of a target to its other parts that have none, or none any more.
-- $1 tenants, $2 target ids, $3 reasons of loss that the bytes make good, $4 now.
INSERT INTO custody_pas.part_results (
    tenant, origin_id, number, fingerprint, target_id, state, witnessed, shared,
    size, sha256, place, version, kept_at
)
SELECT lacking.tenant, lacking.origin_id, lacking.number, lacking.fingerprint, lacking.target_id, 'kept', false, true,
       source.size, source.sha256, source.place, source.version, $4
FROM unnest($1::text[], $2::text[]) AS wanted (tenant, target_id)
JOIN LATERAL (
    SELECT one.size, one.sha256, one.place, one.version
    FROM custody_pas.part_states AS one
    WHERE one.tenant = wanted.tenant AND one.target_id = wanted.target_id AND one.state = 'kept'
    ORDER BY one.result_number
    LIMIT 1
) AS source ON true
JOIN custody_pas.part_states AS lacking
    ON lacking.tenant = wanted.tenant AND lacking.target_id = wanted.target_id
WHERE lacking.state IS NULL OR (lacking.state = 'lost' AND lacking.reason = ANY ($3::text[]));
