-- Moves targets that are locked to another state. $1 to $5 and $7 arrays of one length, $6 now.
UPDATE custody_pas.targets AS target
SET state = moved.state, due_at = moved.due_at, reason = moved.reason, changed_at = $6,
    attempt = greatest(target.attempt, moved.attempt)
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $7::integer[])
    AS moved (tenant, target_id, state, due_at, reason, attempt)
WHERE target.tenant = moved.tenant AND target.target_id = moved.target_id;
