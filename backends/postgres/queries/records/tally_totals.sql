-- The figures of a tenant's account, by name and, where a figure is divided, by label.
-- $1 tenant, $2 logs, $3 the streams whose entries are accounted, $4 their topics.
WITH kept AS MATERIALIZED (  -- read once: these rows are wide
    SELECT record_id, part_count, target_ids, variant_of IS NOT NULL AS variant,
           log = ANY ($2::text[]) AND stream = ANY ($3::text[]) AND NOT worker_made AS accounted
    FROM custody_pas.records
    WHERE tenant = $1
), result AS (
    SELECT DISTINCT ON (origin_id, number, fingerprint) origin_id, number, fingerprint, state, reason
    FROM custody_pas.part_results
    WHERE tenant = $1
    ORDER BY origin_id, number, fingerprint, state = 'kept' DESC, result_number
)
SELECT CASE WHEN variant THEN 'variants' ELSE 'kept' END AS name, '' AS label, count(*) AS amount
FROM kept
WHERE accounted
GROUP BY variant
UNION ALL
SELECT 'parts', '', coalesce(sum(part_count), 0)
FROM kept
UNION ALL
SELECT CASE result.state WHEN 'kept' THEN 'parts_kept' ELSE 'parts_lost' END, coalesce(result.reason, ''), count(*)
FROM custody_pas.parts AS part
JOIN kept USING (record_id)
JOIN result USING (origin_id, number, fingerprint)
WHERE part.tenant = $1
GROUP BY result.state, coalesce(result.reason, '')
UNION ALL
SELECT 'targets', '', count(DISTINCT named.target_id)
FROM kept, unnest(kept.target_ids) AS named (target_id)
WHERE kept.part_count > 0
UNION ALL
SELECT 'target_states', state, count(*)
FROM custody_pas.targets
WHERE tenant = $1
GROUP BY state
UNION ALL
SELECT 'gaps', cause, count(*)
FROM custody_pas.gaps
WHERE tenant = $1 AND state = 'open'
GROUP BY cause
UNION ALL
SELECT 'gaps', 'outbound_unseen', count(*)
FROM custody_pas.unseen
WHERE tenant = $1 AND NOT EXISTS (
    SELECT FROM custody_pas.records AS record
    WHERE record.tenant = unseen.tenant AND record.record_id = unseen.record_id
)
UNION ALL
SELECT 'dead', '', count(*)
FROM custody_pas.dead_letters
WHERE tenant = $1 AND log = ANY ($2::text[]) AND topic = ANY ($4::text[]) AND state = 'open';
