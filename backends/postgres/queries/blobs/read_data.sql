-- The bytes of a small blob.
SELECT data FROM custody_blobs.blobs WHERE place = $1;
