-- A log may take another one's place: an operator says so, and the progress in the old one is final from then on.

ALTER TABLE custody_pas.progress ADD COLUMN successor text;
COMMENT ON COLUMN custody_pas.progress.successor IS
    'The log that took this one''s place for good: nothing more is kept of this one; its counts go on in the other''s.';
GRANT UPDATE (successor) ON custody_pas.progress TO custody_writer;
