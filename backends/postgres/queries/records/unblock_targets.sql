-- Puts blocked targets back to due. $1 tenant, $2 target ids, $3 now.
UPDATE custody_pas.targets
SET state = 'due', due_at = $3, reason = NULL, changed_at = $3
WHERE (tenant, target_id) IN (
    SELECT tenant, target_id
    FROM custody_pas.targets
    WHERE tenant = $1 AND target_id = ANY ($2::text[]) AND state = 'blocked'
    ORDER BY target_id COLLATE "C"
    FOR UPDATE
)
RETURNING target_id;
