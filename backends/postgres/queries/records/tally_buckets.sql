-- The same figures by account and quarter of an hour. An entry tried again counts where its other try does.
-- Targets in all stand under no account: one may be named in several quarters. All other totals are sums of these rows,
-- so that the records, which are many and wide, are read once for both.
-- $1 tenant, $2 logs, $3 the streams whose entries are accounted, $4 their topics.
WITH kept AS MATERIALIZED (  -- read once: these rows are wide
    SELECT record_id, account, part_count, target_ids, variant_of IS NOT NULL AS variant,
           date_bin('15 minutes', received_at, timestamptz '2000-01-01 00:00:00+00') AS start,
           log = ANY ($2::text[]) AND stream = ANY ($3::text[]) AND NOT worker_made AS accounted
    FROM custody_pas.records
    WHERE tenant = $1
), result AS (
    SELECT DISTINCT ON (origin_id, number, fingerprint) origin_id, number, fingerprint, state, reason
    FROM custody_pas.part_results
    WHERE tenant = $1
    ORDER BY origin_id, number, fingerprint, state = 'kept' DESC, result_number
), named AS (
    SELECT DISTINCT account, start, unnest(target_ids) AS target_id
    FROM kept
    WHERE part_count > 0
), dead AS (
    SELECT account, state, date_bin('15 minutes', received_at, timestamptz '2000-01-01 00:00:00+00') AS start
    FROM custody_pas.dead_letters
    WHERE tenant = $1 AND log = ANY ($2::text[]) AND topic = ANY ($4::text[])
)
SELECT account, start, CASE WHEN variant THEN 'variants' ELSE 'kept' END AS name, '' AS label, count(*) AS amount
FROM kept
WHERE accounted
GROUP BY account, start, variant
UNION ALL
SELECT account, start, 'parts', '', sum(part_count)
FROM kept
WHERE part_count > 0
GROUP BY account, start
UNION ALL
SELECT kept.account, kept.start,
       CASE result.state WHEN 'kept' THEN 'parts_kept' ELSE 'parts_lost' END, coalesce(result.reason, ''), count(*)
FROM custody_pas.parts AS part
JOIN kept USING (record_id)
JOIN result USING (origin_id, number, fingerprint)
WHERE part.tenant = $1
GROUP BY kept.account, kept.start, result.state, coalesce(result.reason, '')
UNION ALL
SELECT account, start, 'targets', '', count(*)
FROM named
GROUP BY account, start
UNION ALL
SELECT named.account, named.start, 'target_states', target.state, count(*)
FROM named
JOIN custody_pas.targets AS target ON target.tenant = $1 AND target.target_id = named.target_id
GROUP BY named.account, named.start, target.state
UNION ALL
SELECT NULL, NULL, 'targets', '', count(DISTINCT target_id)
FROM named
UNION ALL
SELECT NULL, NULL, 'target_states', state, count(*)
FROM custody_pas.targets
WHERE tenant = $1
GROUP BY state
UNION ALL
SELECT account, date_bin('15 minutes', received_at, timestamptz '2000-01-01 00:00:00+00'), 'gaps', cause, count(*)
FROM custody_pas.gaps
WHERE tenant = $1 AND state = 'open'
GROUP BY 1, 2, cause
UNION ALL
SELECT account, date_bin('15 minutes', received_at, timestamptz '2000-01-01 00:00:00+00'), 'gaps', 'outbound_unseen',
       count(*)
FROM custody_pas.unseen
WHERE tenant = $1 AND NOT EXISTS (
    SELECT FROM custody_pas.records AS record
    WHERE record.tenant = unseen.tenant AND record.record_id = unseen.record_id
)
GROUP BY 1, 2
UNION ALL
SELECT account, start, 'dead', '', count(*) FROM dead WHERE state = 'open' GROUP BY account, start
UNION ALL
SELECT account, start, 'entries', '', -count(*) FROM dead WHERE state = 'settled' GROUP BY account, start
UNION ALL
SELECT account, bucket, figure.name, '', sum(figure.amount)
FROM custody_pas.tallies, LATERAL (VALUES ('entries', entries), ('duplicates', duplicates)) AS figure (name, amount)
WHERE tenant = $1 AND log = ANY ($2::text[])
GROUP BY account, bucket, figure.name;
