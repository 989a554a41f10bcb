-- The same figures by account and quarter of an hour. An entry tried again counts where its other try does.
-- $1 tenant, $2 log, $3 the streams whose entries are accounted, $4 their topics.
WITH binned AS (
    SELECT record_id, account, part_count, target_ids,
           date_bin('15 minutes', received_at, timestamptz '2000-01-01 00:00:00+00') AS start,
           CASE
               WHEN worker_made OR log IS DISTINCT FROM $2 OR stream <> ALL ($3::text[]) THEN NULL
               WHEN variant_of IS NULL THEN 'kept'
               ELSE 'variants'
           END AS outcome
    FROM custody_pas.records
    WHERE tenant = $1
), dead AS (
    SELECT account, state, date_bin('15 minutes', received_at, timestamptz '2000-01-01 00:00:00+00') AS start
    FROM custody_pas.dead_letters
    WHERE tenant = $1 AND log = $2 AND topic = ANY ($4::text[])
)
SELECT account, start, outcome AS name, '' AS label, count(*) AS amount
FROM binned
WHERE outcome IS NOT NULL
GROUP BY account, start, outcome
UNION ALL
SELECT account, start, 'parts', '', sum(part_count)
FROM binned
WHERE part_count > 0
GROUP BY account, start
UNION ALL
SELECT record.account, record.start,
       CASE part.state WHEN 'kept' THEN 'parts_kept' ELSE 'parts_lost' END, coalesce(part.reason, ''), count(*)
FROM custody_pas.part_states AS part
JOIN binned AS record ON record.record_id = part.record_id
WHERE part.tenant = $1 AND part.state IS NOT NULL
GROUP BY record.account, record.start, part.state, coalesce(part.reason, '')
UNION ALL
SELECT named.account, named.start, figure.name, figure.label, count(*)
FROM (
    SELECT DISTINCT account, start, unnest(target_ids) AS target_id FROM binned WHERE part_count > 0
) AS named
LEFT JOIN custody_pas.targets AS target ON target.tenant = $1 AND target.target_id = named.target_id,
LATERAL (VALUES ('targets', ''), ('target_states', target.state)) AS figure (name, label)
WHERE figure.label IS NOT NULL
GROUP BY named.account, named.start, figure.name, figure.label
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
WHERE tenant = $1 AND log = $2
GROUP BY account, bucket, figure.name;
