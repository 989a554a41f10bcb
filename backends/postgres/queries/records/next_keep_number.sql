-- A number for a batch, above those of all batches kept of its partitions before.
SELECT nextval('custody_pas.keep_numbers');
