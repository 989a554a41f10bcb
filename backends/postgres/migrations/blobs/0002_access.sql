-- Writers of blobs add and read, and neither change nor take away. A reader sees the blobs of one tenant.

DO $$
BEGIN
    CREATE ROLE custody_blob_writer NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
DO $$
BEGIN
    CREATE ROLE custody_reader NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

REVOKE ALL ON SCHEMA custody_blobs FROM PUBLIC;
GRANT USAGE ON SCHEMA custody_blobs TO custody_blob_writer, custody_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA custody_blobs TO custody_blob_writer, custody_reader;
GRANT INSERT ON custody_blobs.blobs, custody_blobs.chunks TO custody_blob_writer;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['blobs', 'chunks']
    LOOP
        EXECUTE format('ALTER TABLE custody_blobs.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE custody_blobs.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY writers ON custody_blobs.%I TO custody_blob_writer USING (true) WITH CHECK (true)', name);
        EXECUTE format(
            'CREATE POLICY readers ON custody_blobs.%I FOR SELECT TO custody_reader USING ('
            'tenant = substr(current_user, length(''custody_reader_'') + 1) '
            'AND ''custody_reader_'' || tenant = current_user)',
            name);
    END LOOP;
END
$$;
