-- A conversation's records in the order they were kept. $3 how many to leave out, $4 how many at most.
SELECT record_id, keep_seq, kept_at, variant_of, fingerprint, envelope, arrival, record_digest, arrival_digest,
       encoding, key_id, content
FROM custody_pas.records
WHERE tenant = $1 AND conversation = $2
ORDER BY row_number
OFFSET $3 LIMIT $4;
