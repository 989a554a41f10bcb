-- Inserts a record. A key that is there already is another transaction's, of this moment: the batch is planned anew.
INSERT INTO custody_pas.records (
    tenant, record_id, row_number, account, provider, kind, type, conversation, stream, worker_made, variant_of,
    log, topic, partition, log_offset, keep_seq, kept_at, received_at, part_count, target_ids, fingerprint,
    envelope, arrival, record_digest, arrival_digest, encoding, key_id, content
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
    $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25, $26, $27, $28
);
