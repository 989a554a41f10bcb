-- What a person takes for gone: blocked targets, if how each part that names them ended is known.
-- $1 tenant, $2 target ids, $3 now.
UPDATE custody_pas.targets AS target
SET state = 'already_gone', due_at = NULL, reason = 'accepted', changed_at = $3
FROM (
    SELECT blocked.tenant, blocked.target_id
    FROM custody_pas.targets AS blocked
    WHERE blocked.tenant = $1 AND blocked.target_id = ANY ($2::text[]) AND blocked.state = 'blocked'
      AND NOT EXISTS (SELECT FROM custody_pas.part_states AS part
                      WHERE part.tenant = blocked.tenant AND part.target_id = blocked.target_id
                        AND part.state IS NULL)
    ORDER BY blocked.target_id COLLATE "C"
    FOR UPDATE OF blocked
) AS found
WHERE target.tenant = found.tenant AND target.target_id = found.target_id
RETURNING target.target_id;
