-- Every record of a tenant as bytes, with the digests that were kept with them.
SELECT tenant, record_id, envelope, arrival, content, record_digest, arrival_digest
FROM custody_pas.records
WHERE tenant = $1;
