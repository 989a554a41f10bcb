-- The figures of a tenant's account, by name and, where a figure is divided, by label.
-- $1 tenant, $2 log, $3 the streams whose entries are accounted, $4 their topics.
SELECT figure.name, '' AS label, figure.amount
FROM (
    SELECT count(*) FILTER (WHERE variant_of IS NULL) AS kept,
           count(*) FILTER (WHERE variant_of IS NOT NULL) AS variants
    FROM custody_pas.records
    WHERE tenant = $1 AND log = $2 AND stream = ANY ($3::text[]) AND NOT worker_made
) AS counted,
LATERAL (VALUES ('kept', kept), ('variants', variants)) AS figure (name, amount)
UNION ALL
SELECT 'parts', '', coalesce(sum(part_count), 0)
FROM custody_pas.records
WHERE tenant = $1 AND part_count > 0
UNION ALL
SELECT CASE part.state WHEN 'kept' THEN 'parts_kept' ELSE 'parts_lost' END, coalesce(part.reason, ''), count(*)
FROM custody_pas.part_states AS part
JOIN custody_pas.records AS record ON record.tenant = part.tenant AND record.record_id = part.record_id
WHERE part.tenant = $1 AND part.state IS NOT NULL
GROUP BY part.state, coalesce(part.reason, '')
UNION ALL
SELECT 'targets', '', count(DISTINCT named.target_id)
FROM custody_pas.records AS record, unnest(record.target_ids) AS named (target_id)
WHERE record.tenant = $1 AND record.part_count > 0
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
WHERE tenant = $1 AND log = $2 AND topic = ANY ($4::text[]) AND state = 'open';
