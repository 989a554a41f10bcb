-- The records whose parts name a target, and whether each of them and its bytes' fate is known,
-- and the object's bytes are kept for one of them at least.
-- $1 tenants, $2 target ids.
SELECT part.tenant, part.target_id,
       array_agg(DISTINCT part.record_id ORDER BY part.record_id) AS record_ids,
       bool_and(part.state IS NOT NULL AND record.record_id IS NOT NULL) AND bool_or(part.state = 'kept') AS settled
FROM unnest($1::text[], $2::text[]) AS wanted (tenant, target_id)
JOIN custody_pas.part_states AS part ON part.tenant = wanted.tenant AND part.target_id = wanted.target_id
LEFT JOIN custody_pas.records AS record ON record.tenant = part.tenant AND record.record_id = part.record_id
GROUP BY part.tenant, part.target_id;
