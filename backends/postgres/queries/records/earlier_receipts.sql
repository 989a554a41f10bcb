-- The receipts of targets so far, in the order they came. $1 tenants, $2 target ids.
SELECT tenant, target_id, attempt, outcome, evidence, witnessed, at
FROM custody_pas.receipts
WHERE (tenant, target_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY receipt_number;
