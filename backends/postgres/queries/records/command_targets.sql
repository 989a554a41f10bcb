-- Claims targets that are locked, until $3, and counts the attempt. $1 tenants, $2 target ids, $4 now.
UPDATE custody_pas.targets AS target
SET state = 'commanded', due_at = $3, attempt = target.attempt + 1, reason = NULL, changed_at = $4
FROM unnest($1::text[], $2::text[]) AS claimed (tenant, target_id)
WHERE target.tenant = claimed.tenant AND target.target_id = claimed.target_id;
