-- Every open gap of a tenant by cause, oldest first, with the stream that told of it. Of a message that nobody kept and
-- a status spoke of, it is derived. $1 tenant.
SELECT gap.tenant, gap.cause, gap.record_id, gap.account, record.stream, gap.received_at
FROM custody_pas.gaps AS gap
JOIN custody_pas.records AS record ON record.tenant = gap.tenant AND record.record_id = gap.record_id
WHERE gap.tenant = $1 AND gap.state = 'open'
UNION ALL
SELECT unseen.tenant, 'outbound_unseen', unseen.record_id, unseen.account, 'statuses', unseen.received_at
FROM custody_pas.unseen AS unseen
WHERE unseen.tenant = $1 AND NOT EXISTS (
    SELECT FROM custody_pas.records AS record
    WHERE record.tenant = unseen.tenant AND record.record_id = unseen.record_id
)
ORDER BY cause, received_at, record_id;
