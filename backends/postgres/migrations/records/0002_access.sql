-- Who may do what. Writers add; they change only states, progress and counts, and take nothing away. A reader sees
-- the rows of one tenant, whose name is in the reader's own. Both are group roles that nobody logs in as.

DO $$
BEGIN
    CREATE ROLE custody_writer NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
DO $$
BEGIN
    CREATE ROLE custody_reader NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

REVOKE ALL ON SCHEMA custody_pas FROM PUBLIC;
GRANT USAGE ON SCHEMA custody_pas TO custody_writer, custody_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA custody_pas TO custody_writer, custody_reader;
GRANT USAGE ON SEQUENCE custody_pas.keep_numbers TO custody_writer;

GRANT INSERT ON custody_pas.progress, custody_pas.records, custody_pas.parts, custody_pas.part_results,
    custody_pas.targets, custody_pas.receipts, custody_pas.gaps, custody_pas.unseen, custody_pas.dead_letters,
    custody_pas.tallies TO custody_writer;
GRANT UPDATE (start_offset, next_offset, duplicates, redriven, lost, keep_seq, last_event_id)
    ON custody_pas.progress TO custody_writer;
GRANT UPDATE (state, reason, due_at, attempt, changed_at) ON custody_pas.targets TO custody_writer;
GRANT UPDATE (state) ON custody_pas.gaps TO custody_writer;
GRANT UPDATE (state, code, attempts, at) ON custody_pas.dead_letters TO custody_writer;
GRANT UPDATE (entries, duplicates) ON custody_pas.tallies TO custody_writer;

-- FORCE, so that not even the owner of the tables reads a tenant by mistake.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['progress', 'records', 'parts', 'part_results', 'targets', 'receipts', 'gaps',
                                'unseen', 'dead_letters', 'tallies']
    LOOP
        EXECUTE format('ALTER TABLE custody_pas.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE custody_pas.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY writers ON custody_pas.%I TO custody_writer USING (true) WITH CHECK (true)', name);
        -- The first condition can use an index; the second is the rule.
        EXECUTE format(
            'CREATE POLICY readers ON custody_pas.%I FOR SELECT TO custody_reader USING ('
            'tenant = substr(current_user, length(''custody_reader_'') + 1) '
            'AND ''custody_reader_'' || tenant = current_user)',
            name);
    END LOOP;
END
$$;
