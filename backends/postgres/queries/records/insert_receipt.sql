-- Adds what a deletion command came to.
INSERT INTO custody_pas.receipts (tenant, target_id, attempt, outcome, evidence, witnessed, at)
VALUES ($1, $2, $3, $4, $5, $6, $7);
