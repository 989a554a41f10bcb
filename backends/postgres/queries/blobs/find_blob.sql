-- What lies at a place.
SELECT place, version, size, sha256, chunk_count
FROM custody_blobs.blobs
WHERE place = $1;
