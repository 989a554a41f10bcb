-- create_topics --
-- Makes the topics that are missing, with their partitions; gives back the names made.
-- $1 names, $2 streams, $3 partition counts, $4 retention in seconds (null: until trimmed).
WITH
made AS (
    INSERT INTO custody_log.topics (name, stream, partition_count, retention_seconds)
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[])
    ON CONFLICT (name) DO NOTHING
    RETURNING topic_id, name, partition_count
),
parts AS (
    INSERT INTO custody_log.log_partitions (topic_id, partition)
    SELECT topic_id, pg_catalog.generate_series(0, partition_count - 1) FROM made
    RETURNING partition_id
),
starts AS (
    INSERT INTO custody_log.log_starts (partition_id) SELECT partition_id FROM parts
)
SELECT name FROM made ORDER BY name

-- set_retention --
-- Topics that were there before take the retention now asked for. $1 names, $2 retention in seconds.
UPDATE custody_log.topics AS t
SET retention_seconds = s.retention_seconds
FROM unnest($1::text[], $2::bigint[]) AS s (name, retention_seconds)
WHERE t.name = s.name AND t.retention_seconds IS DISTINCT FROM s.retention_seconds

-- list_topics --
-- Every topic there is.
SELECT name FROM custody_log.topics ORDER BY name

-- describe_topics --
-- How topics are: partitions, and retention in seconds (null: until trimmed). $1 names.
SELECT name, partition_count, retention_seconds FROM custody_log.topics WHERE name = ANY ($1::text[])

-- find_partitions --
-- The partitions of some topics, in order. $1 names.
SELECT t.name, p.partition_id
FROM custody_log.topics AS t
JOIN custody_log.log_partitions AS p USING (topic_id)
WHERE t.name = ANY ($1::text[])
ORDER BY t.name, p.partition

-- bounds --
-- The first and next offset of every partition of some topics. $1 names.
SELECT t.name, p.partition, s.first_offset, p.next_offset
FROM custody_log.topics AS t
JOIN custody_log.log_partitions AS p USING (topic_id)
JOIN custody_log.log_starts AS s USING (partition_id)
WHERE t.name = ANY ($1::text[])
ORDER BY t.name, p.partition
