-- Those of these targets of whose parts one at least has ended. $1 tenants, $2 target ids.
SELECT part.tenant, part.target_id
FROM unnest($1::text[], $2::text[]) AS wanted (tenant, target_id)
JOIN custody_pas.parts AS part ON part.tenant = wanted.tenant AND part.target_id = wanted.target_id
JOIN custody_pas.part_results AS result
    ON result.tenant = part.tenant AND result.origin_id = part.origin_id
    AND result.number = part.number AND result.fingerprint = part.fingerprint;
