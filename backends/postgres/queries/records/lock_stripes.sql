-- Takes locks that parts and results of one target have in common, so that of two transactions one sees the other's.
-- $1 first keys, $2 second keys: arrays of one length, in the order that everybody takes them in.
SELECT pg_advisory_xact_lock(one.space, one.stripe)
FROM unnest($1::integer[], $2::integer[]) AS one (space, stripe);
