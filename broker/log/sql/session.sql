-- inspect_session --
-- What a new connection must know of its server before it is used. Fails on a standby: no log is written there.
SELECT
    pg_catalog.current_setting('fsync') AS fsync,
    (SELECT max(version) FROM custody_log.migrations) AS version,
    i.log_id,
    i.place AS made_at,
    custody_log.place() AS here
FROM custody_log.identity AS i

-- ping --
-- Whether the log can be read and written.
SELECT NOT pg_catalog.pg_is_in_recovery() AS writable FROM custody_log.identity

-- notify --
-- Wakes the other processes' readers. $1 channel, $2 payload. Never part of an append: its commit is serialised.
SELECT pg_catalog.pg_notify($1, $2)
