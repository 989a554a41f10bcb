-- Every record of a tenant.
SELECT record_id, keep_seq, kept_at, variant_of, fingerprint, envelope, arrival, record_digest, arrival_digest,
       encoding, key_id, content
FROM custody_pas.records
WHERE tenant = $1;
