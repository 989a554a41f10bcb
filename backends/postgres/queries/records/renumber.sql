-- Moves the counters above the numbers that are there, and never back: to spare, since others may count meanwhile.
-- $1 how many bits of a row number are the place within its batch.
SELECT setval('custody_pas.keep_numbers', (top.number >> $1::integer) + 1000)
FROM (SELECT max(row_number) AS number FROM custody_pas.records) AS top, custody_pas.keep_numbers AS counter
WHERE top.number >> $1::integer >= counter.last_value
UNION ALL
SELECT setval('custody_pas.part_results_result_number_seq', top.number + 1000)
FROM (SELECT max(result_number) AS number FROM custody_pas.part_results) AS top,
     custody_pas.part_results_result_number_seq AS counter
WHERE top.number >= counter.last_value
UNION ALL
SELECT setval('custody_pas.receipts_receipt_number_seq', top.number + 1000)
FROM (SELECT max(receipt_number) AS number FROM custody_pas.receipts) AS top,
     custody_pas.receipts_receipt_number_seq AS counter
WHERE top.number >= counter.last_value;
