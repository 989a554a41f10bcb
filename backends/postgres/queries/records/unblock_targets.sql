-- What a person saw to: due again where the bytes are kept, else residue, since nothing may be erased that was never
-- kept. $1 tenant, $2 target ids, $3 now.
UPDATE custody_pas.targets AS target
SET state = CASE WHEN found.kept THEN 'due' ELSE 'residue' END,
    due_at = CASE WHEN found.kept THEN $3::timestamptz END,
    reason = CASE WHEN found.kept THEN NULL ELSE 'part_lost' END,
    changed_at = $3
FROM (
    SELECT blocked.tenant, blocked.target_id,
           EXISTS (SELECT FROM custody_pas.part_states AS part
                   WHERE part.tenant = blocked.tenant AND part.target_id = blocked.target_id
                     AND part.state = 'kept') AS kept
    FROM custody_pas.targets AS blocked
    WHERE blocked.tenant = $1 AND blocked.target_id = ANY ($2::text[]) AND blocked.state = 'blocked'
    ORDER BY blocked.target_id COLLATE "C"
    FOR UPDATE OF blocked
) AS found
WHERE target.tenant = found.tenant AND target.target_id = found.target_id
RETURNING target.target_id;
