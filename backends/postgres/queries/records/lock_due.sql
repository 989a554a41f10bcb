-- Targets that are due, or whose lease is over, longest first; passes over those that another works on.
-- $1 now, $2 how many at most.
SELECT tenant, target_id, account, provider, conversation, object_kind, object_id, attempt
FROM custody_pas.targets
WHERE state IN ('due', 'commanded') AND due_at <= $1
ORDER BY due_at, target_id COLLATE "C"
LIMIT $2
FOR UPDATE SKIP LOCKED;
