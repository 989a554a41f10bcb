-- One chunk of a large blob.
SELECT data FROM custody_blobs.chunks WHERE version = $1 AND number = $2;
