-- Adds the next bytes of a blob that is not visible yet.
INSERT INTO custody_blobs.chunks (version, number, tenant, data)
VALUES ($1, $2, split_part($3, '/', 1), $4);
