-- Adds to an account's quarter of an hour, under a partition that is locked.
INSERT INTO custody_pas.tallies AS tally (log, topic, partition, account, bucket, tenant, entries, duplicates)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (log, topic, partition, account, bucket, tenant) DO UPDATE
SET entries = tally.entries + excluded.entries, duplicates = tally.duplicates + excluded.duplicates;
