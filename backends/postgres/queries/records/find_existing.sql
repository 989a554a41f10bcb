-- The rows that a batch may repeat. $1 tenant, $2 record ids.
SELECT record_id, fingerprint, log, topic, partition, log_offset, record_digest, keep_seq, kept_at, variant_of
FROM custody_pas.records
WHERE tenant = $1 AND record_id = ANY ($2::text[]);
