-- The records of every tenant, what became of them, and how far the store is in each partition of the log.
--
-- Rows of records, parts, part_results, receipts and unseen are never changed. Whoever connects as a writer can't.

CREATE TABLE custody_pas.progress (
    log           text    NOT NULL,
    topic         text    NOT NULL,
    partition     integer NOT NULL,
    tenant        text    NOT NULL,
    start_offset  bigint,
    next_offset   bigint,
    duplicates    bigint  NOT NULL DEFAULT 0,
    redriven      bigint  NOT NULL DEFAULT 0,
    lost          bigint  NOT NULL DEFAULT 0,
    keep_seq      bigint  NOT NULL DEFAULT 0,
    last_event_id text    NOT NULL DEFAULT '',
    PRIMARY KEY (log, topic, partition),
    CHECK (next_offset >= start_offset)
) WITH (fillfactor = 25);
COMMENT ON TABLE custody_pas.progress IS
    'How far the store is in each partition; locked by whoever keeps a batch of it.';
COMMENT ON COLUMN custody_pas.progress.start_offset IS 'NULL while the first batch of the partition is being kept.';

CREATE SEQUENCE custody_pas.keep_numbers;
COMMENT ON SEQUENCE custody_pas.keep_numbers IS 'One number for each batch kept: the upper part of row_number.';

CREATE TABLE custody_pas.records (
    tenant         text        NOT NULL,
    record_id      text        NOT NULL,
    row_number     bigint      NOT NULL,
    account        text        NOT NULL,
    provider       text        NOT NULL,
    kind           text        NOT NULL,
    type           text        NOT NULL,
    conversation   text        NOT NULL,
    stream         text        NOT NULL,
    worker_made    boolean     NOT NULL,
    variant_of     text,
    log            text,
    topic          text,
    partition      integer,
    log_offset     bigint,
    keep_seq       bigint      NOT NULL,
    kept_at        timestamptz NOT NULL,
    received_at    timestamptz NOT NULL,
    part_count     integer     NOT NULL,
    target_ids     text[]      NOT NULL,
    fingerprint    bytea,
    envelope       bytea       STORAGE EXTERNAL NOT NULL,
    arrival        bytea       STORAGE EXTERNAL NOT NULL,
    record_digest  bytea       NOT NULL,
    arrival_digest bytea       NOT NULL,
    encoding       text        NOT NULL,
    key_id         text,
    content        bytea       STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (tenant, record_id),
    CHECK (octet_length(fingerprint) = 32),
    CHECK (octet_length(record_digest) = 32),
    CHECK (octet_length(arrival_digest) = 32),
    CHECK (num_nulls(log, topic, partition, log_offset) IN (0, 4))
) WITH (toast_tuple_target = 8160);
CREATE INDEX records_conversation ON custody_pas.records (tenant, conversation, row_number);
CREATE INDEX records_received ON custody_pas.records (tenant, account, received_at);
COMMENT ON TABLE custody_pas.records IS
    'What happened, one row each; envelope and arrival are canonical JSON, byte for byte.';
COMMENT ON COLUMN custody_pas.records.row_number IS 'Rises with every batch kept, and within it.';
COMMENT ON COLUMN custody_pas.records.worker_made IS
    'A gap that stands in for a dead letter: outside the account''s "kept".';
COMMENT ON COLUMN custody_pas.records.fingerprint IS 'Keyed. NULL once erased, since it confirms a guess.';
COMMENT ON COLUMN custody_pas.records.target_ids IS 'The provider objects that the record names.';

CREATE TABLE custody_pas.parts (
    tenant      text        NOT NULL,
    record_id   text        NOT NULL,
    number      integer     NOT NULL,
    media_kind  text        NOT NULL,
    mime        text        NOT NULL,
    origin_id   text        NOT NULL,
    fingerprint bytea       NOT NULL,
    target_id   text        NOT NULL,
    kept_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant, record_id, number)
);
CREATE INDEX parts_target ON custody_pas.parts (tenant, target_id);
COMMENT ON TABLE custody_pas.parts IS
    'The parts that records name. A result is addressed to origin, fingerprint and number.';

CREATE TABLE custody_pas.part_results (
    tenant        text        NOT NULL,
    origin_id     text        NOT NULL,
    number        integer     NOT NULL,
    result_number bigint      GENERATED ALWAYS AS IDENTITY,
    fingerprint   bytea       NOT NULL,
    target_id     text        NOT NULL,
    state         text        NOT NULL,
    reason        text,
    witnessed     boolean     NOT NULL,
    shared        boolean     NOT NULL,
    size          bigint,
    sha256        bytea,
    place         text,
    version       text,
    kept_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant, origin_id, number, result_number),
    CHECK (state = 'lost' OR num_nulls(size, sha256, place) = 0),
    CHECK (state = 'kept' OR reason IS NOT NULL)
);
COMMENT ON TABLE custody_pas.part_results IS 'How fetches ended. The first that kept the bytes counts, else the first.';
COMMENT ON COLUMN custody_pas.part_results.shared IS
    'Another part of the same provider object was kept: its bytes serve this one too.';

CREATE VIEW custody_pas.part_states WITH (security_invoker = true) AS
SELECT part.tenant, part.record_id, part.number, part.media_kind, part.mime, part.target_id,
       part.origin_id, part.fingerprint, part.kept_at AS named_at,
       result.result_number, result.state, result.reason, result.witnessed, result.shared,
       result.size, result.sha256, result.place, result.version, result.kept_at
FROM custody_pas.parts AS part
LEFT JOIN LATERAL (
    SELECT one.*
    FROM custody_pas.part_results AS one
    WHERE one.tenant = part.tenant AND one.origin_id = part.origin_id
      AND one.number = part.number AND one.fingerprint = part.fingerprint
    ORDER BY one.state = 'kept' DESC, one.result_number
    LIMIT 1
) AS result ON true;
COMMENT ON VIEW custody_pas.part_states IS 'Each part with the result that counts; state is NULL while there is none.';

CREATE TABLE custody_pas.targets (
    tenant              text             NOT NULL,
    target_id           text             NOT NULL,
    account             text             NOT NULL,
    provider            text             NOT NULL,
    conversation        text             NOT NULL,
    object_kind         text             NOT NULL,
    object_id           bytea            NOT NULL,
    not_before          timestamptz      NOT NULL,
    erase_after_seconds double precision NOT NULL,
    expires_at          timestamptz      NOT NULL,
    state               text             NOT NULL DEFAULT 'waiting',
    reason              text,
    due_at              timestamptz,
    attempt             integer          NOT NULL DEFAULT 0,
    changed_at          timestamptz      NOT NULL,
    PRIMARY KEY (tenant, target_id),
    CHECK (state IN ('waiting', 'due', 'commanded', 'erased', 'already_gone', 'blocked', 'residue', 'expired')),
    CHECK (due_at IS NOT NULL OR state NOT IN ('due', 'commanded'))
) WITH (fillfactor = 70);
CREATE INDEX targets_due ON custody_pas.targets (due_at) WHERE state IN ('due', 'commanded');
CREATE INDEX targets_expiring ON custody_pas.targets (expires_at)
    WHERE state IN ('waiting', 'due', 'commanded', 'blocked', 'residue');
COMMENT ON TABLE custody_pas.targets IS 'Provider objects that are to be erased.';
COMMENT ON COLUMN custody_pas.targets.object_id IS 'What the provider calls it, in UTF-8: content.';
COMMENT ON COLUMN custody_pas.targets.due_at IS
    'From when on it may be claimed; of a commanded one, when its lease is over.';

CREATE TABLE custody_pas.receipts (
    tenant         text        NOT NULL,
    target_id      text        NOT NULL,
    receipt_number bigint      GENERATED ALWAYS AS IDENTITY,
    attempt        integer     NOT NULL,
    outcome        text        NOT NULL,
    evidence       text        NOT NULL,
    witnessed      boolean     NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (tenant, target_id, receipt_number)
);
COMMENT ON TABLE custody_pas.receipts IS 'What deletion commands came to.';

CREATE TABLE custody_pas.gaps (
    tenant      text        NOT NULL,
    record_id   text        NOT NULL,
    cause       text        NOT NULL,
    state       text        NOT NULL DEFAULT 'open',
    account     text        NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, record_id),
    CHECK (state IN ('open', 'closed'))
);
CREATE INDEX gaps_open ON custody_pas.gaps (tenant, cause) WHERE state = 'open';
COMMENT ON TABLE custody_pas.gaps IS 'Records known to be missing or unreadable, by the gap record that says so.';

CREATE TABLE custody_pas.unseen (
    tenant      text        NOT NULL,
    record_id   text        NOT NULL,
    account     text        NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, record_id)
);
COMMENT ON TABLE custody_pas.unseen IS
    'Records that a status spoke of before they were kept: a gap while they are not.';

CREATE TABLE custody_pas.dead_letters (
    log           text        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    log_offset    bigint      NOT NULL,
    tenant        text        NOT NULL,
    gap_record_id text        NOT NULL,
    account       text        NOT NULL,
    received_at   timestamptz NOT NULL,
    code          text        NOT NULL,
    attempts      integer     NOT NULL,
    at            timestamptz NOT NULL,
    state         text        NOT NULL DEFAULT 'open',
    PRIMARY KEY (log, topic, partition, log_offset),
    CHECK (state IN ('open', 'settled'))
);
CREATE INDEX dead_letters_tenant ON custody_pas.dead_letters (tenant, at);
COMMENT ON TABLE custody_pas.dead_letters IS 'Entries set aside, each with the gap record that stands in for it.';

CREATE TABLE custody_pas.tallies (
    log        text        NOT NULL,
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    account    text        NOT NULL,
    bucket     timestamptz NOT NULL,
    tenant     text        NOT NULL,
    entries    bigint      NOT NULL,
    duplicates bigint      NOT NULL,
    PRIMARY KEY (log, topic, partition, account, bucket, tenant)
) WITH (fillfactor = 50);
COMMENT ON TABLE custody_pas.tallies IS
    'Entries and duplicates by account and quarter of an hour, under the partition whose lock guards the row.';
