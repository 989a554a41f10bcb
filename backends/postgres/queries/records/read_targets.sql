-- Every target of a tenant.
SELECT target_id, account, object_kind, object_id, state, expires_at
FROM custody_pas.targets
WHERE tenant = $1;
