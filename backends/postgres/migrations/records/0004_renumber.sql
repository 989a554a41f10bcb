-- Whoever copies another store's rows in moves the counters on, above the numbers that came with them.

GRANT SELECT, UPDATE ON SEQUENCE custody_pas.keep_numbers, custody_pas.part_results_result_number_seq,
    custody_pas.receipts_receipt_number_seq TO custody_writer;
