-- A session's own table that large batches are copied into.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE custody_pas.records INCLUDING STORAGE)
    WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS;
