-- Residue past its day is expired, and so is what nobody could command well past the provider's own deadline. What is
-- due is commanded all the same: the deadline is our reckoning, and the provider has the last word.
-- $1 now, $2 the latest deadline that is well past, $3 how many at most.
UPDATE custody_pas.targets
SET state = 'expired', due_at = NULL, changed_at = $1, reason = coalesce(reason, 'past_deadline')
WHERE (tenant, target_id) IN (
    SELECT tenant, target_id
    FROM custody_pas.targets
    WHERE (state = 'residue' AND expires_at <= $1)
       OR (state IN ('waiting', 'blocked') AND expires_at <= $2)
    ORDER BY expires_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
);
