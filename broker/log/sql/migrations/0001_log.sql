-- The event log: topics, their partitions, the entries in them, and how far each group has read.
-- Written for PostgreSQL 14 and later. Run by PostgresLog.migrate, in one transaction.

CREATE SCHEMA custody_log;

COMMENT ON SCHEMA custody_log IS 'The event log of Custody. Its offsets are the account''s: change nothing by hand.';

CREATE TABLE custody_log.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- `place` is where the log was made: a copy of it that runs elsewhere answers to another identity.
CREATE TABLE custody_log.identity (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    log_id uuid NOT NULL,
    place text NOT NULL
);

-- Where this log lies now: the cluster, the database in it, and the timeline, which a restore to a point in time and
-- a failover both leave. It fails on a standby, where no log is written.
CREATE FUNCTION custody_log.place() RETURNS text
LANGUAGE sql STABLE
RETURN concat_ws(
    '/',
    (SELECT system_identifier FROM pg_catalog.pg_control_system()),
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
    left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8)
);

-- The number of partitions is for good: a key's partition is CRC-32 of the key modulo that number.
CREATE TABLE custody_log.topics (
    topic_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    stream text COLLATE "C" NOT NULL,
    partition_count integer NOT NULL CHECK (partition_count BETWEEN 1 AND 1024),
    retention_seconds bigint CHECK (retention_seconds > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The end of a partition. An append moves it in its own transaction and holds the row until its entries are
-- visible, so offsets become visible in order and without holes: never take them from a sequence.
CREATE TABLE custody_log.log_partitions (
    partition_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_id integer NOT NULL REFERENCES custody_log.topics,
    partition integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL DEFAULT 0 CHECK (next_offset >= 0),
    last_appended_at timestamptz NOT NULL DEFAULT '-infinity',
    UNIQUE (topic_id, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The beginning of a partition: a row of its own, so that retention never waits for an append, nor holds one up.
CREATE TABLE custody_log.log_starts (
    partition_id integer PRIMARY KEY REFERENCES custody_log.log_partitions,
    first_offset bigint NOT NULL DEFAULT 0 CHECK (first_offset >= 0)
);

-- `appended_at` never goes back within a partition. `headers` is MessagePack: an array of [name, bytes].
-- Values stay in the row up to a page, and uncompressed beyond it: compressing halves the rate.
CREATE TABLE custody_log.entries (
    log_offset bigint NOT NULL,
    appended_at timestamptz NOT NULL,
    partition_id integer NOT NULL,
    key bytea NOT NULL,
    headers bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (partition_id, log_offset)
) WITH (toast_tuple_target = 8160);

ALTER TABLE custody_log.entries
    ALTER key SET STORAGE EXTERNAL,
    ALTER headers SET STORAGE EXTERNAL,
    ALTER value SET STORAGE EXTERNAL;

CREATE TABLE custody_log.groups (
    group_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

-- A member lives as long as it renews its lease.
CREATE TABLE custody_log.members (
    group_id integer NOT NULL REFERENCES custody_log.groups,
    member_id uuid NOT NULL,
    streams text[] NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (group_id, member_id)
) WITH (fillfactor = 50);

-- Who reads a partition for a group, and how far the group has come. `epoch` counts the owners: a commit
-- names the epoch it was handed the partition under, so that a former owner's late commit moves nothing.
CREATE TABLE custody_log.claims (
    group_id integer NOT NULL REFERENCES custody_log.groups,
    partition_id integer NOT NULL REFERENCES custody_log.log_partitions,
    owner uuid,
    epoch bigint NOT NULL DEFAULT 0,
    committed bigint CHECK (committed >= 0),
    PRIMARY KEY (group_id, partition_id)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'custody_log') THEN
        CREATE ROLE custody_log NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server was quicker
END
$$;

-- Just what the log does. Nobody but the owner can change an entry once it is written.
GRANT USAGE ON SCHEMA custody_log TO custody_log;
GRANT SELECT ON ALL TABLES IN SCHEMA custody_log TO custody_log;
GRANT INSERT, UPDATE (retention_seconds) ON custody_log.topics TO custody_log;
GRANT INSERT, UPDATE (next_offset, last_appended_at) ON custody_log.log_partitions TO custody_log;
GRANT INSERT, UPDATE (first_offset) ON custody_log.log_starts TO custody_log;
GRANT INSERT, DELETE ON custody_log.entries TO custody_log;
GRANT INSERT, UPDATE (name) ON custody_log.groups TO custody_log;  -- UPDATE: to lock a group's row
GRANT INSERT, UPDATE (streams, lease_until), DELETE ON custody_log.members TO custody_log;
GRANT INSERT, UPDATE (owner, epoch, committed) ON custody_log.claims TO custody_log;
