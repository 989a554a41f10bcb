-- Photos, voice notes and documents. A small one lies in its row; the bytes of a larger one lie in chunks, which
-- nobody can name before its row is there. Rows are never changed.

CREATE TABLE custody_blobs.blobs (
    place       text        NOT NULL PRIMARY KEY,
    tenant      text        NOT NULL GENERATED ALWAYS AS (split_part(place, '/', 1)) STORED,
    version     uuid        NOT NULL,
    size        bigint      NOT NULL,
    sha256      bytea       NOT NULL,
    chunk_count integer     NOT NULL,
    data        bytea       STORAGE EXTERNAL,
    kept_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (place LIKE '_%/_%'),
    CHECK (octet_length(sha256) = 32),
    CHECK (chunk_count > 0 OR octet_length(data) = size)
);
COMMENT ON TABLE custody_blobs.blobs IS 'Blobs by their place: tenant, record, number of the part.';

CREATE TABLE custody_blobs.chunks (
    version uuid    NOT NULL,
    number  integer NOT NULL,
    tenant  text    NOT NULL,
    data    bytea   STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (version, number)
);
COMMENT ON TABLE custody_blobs.chunks IS 'The bytes of blobs of more than one chunk, numbered from 1.';
