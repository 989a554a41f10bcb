-- Makes a blob visible, unless one lies there: then it gives back nothing.
INSERT INTO custody_blobs.blobs (place, version, size, sha256, chunk_count, data)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING true;
