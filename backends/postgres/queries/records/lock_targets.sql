-- Locks targets against the relay, and tells where they stand. $1 tenants, $2 target ids: in order.
SELECT tenant, target_id, state, attempt, not_before, erase_after_seconds, expires_at
FROM custody_pas.targets
WHERE (tenant, target_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY tenant COLLATE "C", target_id COLLATE "C"
FOR UPDATE;
