-- Inserts the records that were copied in, in their order. A key that is there already: see insert_record.
INSERT INTO custody_pas.records (
    tenant, record_id, row_number, account, provider, kind, type, conversation, stream, worker_made, variant_of,
    log, topic, partition, log_offset, keep_seq, kept_at, received_at, part_count, target_ids, fingerprint,
    envelope, arrival, record_digest, arrival_digest, encoding, key_id, content
)
SELECT
    tenant, record_id, row_number, account, provider, kind, type, conversation, stream, worker_made, variant_of,
    log, topic, partition, log_offset, keep_seq, kept_at, received_at, part_count, target_ids, fingerprint,
    envelope, arrival, record_digest, arrival_digest, encoding, key_id, content
FROM pg_temp.incoming;
