-- Adds what deletion commands came to. Each argument is a column of all of them.
INSERT INTO custody_pas.receipts (tenant, target_id, attempt, outcome, evidence, witnessed, at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::boolean[], $7::timestamptz[]
);
