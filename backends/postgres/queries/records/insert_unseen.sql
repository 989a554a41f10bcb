-- Notes that statuses spoke of records that are not there. Each argument is a column of all of them.
INSERT INTO custody_pas.unseen (tenant, record_id, account, received_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
ON CONFLICT DO NOTHING;
