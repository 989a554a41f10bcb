-- The receipts of targets so far. $1 tenants, $2 target ids.
SELECT tenant, target_id, attempt, outcome
FROM custody_pas.receipts
WHERE (tenant, target_id) IN (SELECT * FROM unnest($1::text[], $2::text[]));
