-- lock_migrations --
-- One migration at a time in this database, until the transaction ends.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('custody_log.migrations', 0))

-- find_schema --
-- Whether any migration ever ran here.
SELECT pg_catalog.to_regclass('custody_log.migrations') IS NOT NULL AS found

-- applied_version --
-- The newest migration that ran here; 0 for none.
SELECT coalesce(max(version), 0) AS version FROM custody_log.migrations

-- record_migration --
-- $1 version, $2 name.
INSERT INTO custody_log.migrations (version, name) VALUES ($1, $2)

-- make_identity --
-- The log's identity, once: a random id, and the place where it holds.
INSERT INTO custody_log.identity (log_id, place)
SELECT pg_catalog.gen_random_uuid(), custody_log.place()
ON CONFLICT (singleton) DO NOTHING

-- keep_identity --
-- Declares that the log lost nothing on its way to where it is now.
UPDATE custody_log.identity SET place = custody_log.place()
