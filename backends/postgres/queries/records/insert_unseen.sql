-- Notes that a status spoke of a record that is not there.
INSERT INTO custody_pas.unseen (tenant, record_id, account, received_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;
