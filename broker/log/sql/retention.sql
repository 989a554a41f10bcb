-- trim --
-- Takes up to $4 entries below an offset away and moves the partition's first offset. Never past its end.
-- $1 topic, $2 partition, $3 before this offset, $4 entries at most.
WITH
start AS MATERIALIZED (
    SELECT s.partition_id, s.first_offset, p.next_offset
    FROM custody_log.topics AS t
    JOIN custody_log.log_partitions AS p USING (topic_id)
    JOIN custody_log.log_starts AS s USING (partition_id)
    WHERE t.name = $1 AND p.partition = $2
    FOR NO KEY UPDATE OF s
),
reach AS MATERIALIZED (
    SELECT
        partition_id,
        first_offset,
        greatest(first_offset, least($3::bigint, next_offset, first_offset + $4::bigint)) AS goal
    FROM start
),
gone AS (
    DELETE FROM custody_log.entries AS e
    USING reach AS r
    WHERE e.partition_id = r.partition_id AND e.log_offset >= r.first_offset AND e.log_offset < r.goal
)
UPDATE custody_log.log_starts AS s
SET first_offset = r.goal
FROM reach AS r
WHERE s.partition_id = r.partition_id AND r.goal > r.first_offset
RETURNING r.goal - r.first_offset AS trimmed

-- expired --
-- Partitions whose first entries are older than their topic's retention: up to which offset, looking at $2 entries
-- of each at most. $1 now.
SELECT t.name, p.partition, o.before
FROM custody_log.topics AS t
JOIN custody_log.log_partitions AS p USING (topic_id)
JOIN custody_log.log_starts AS s USING (partition_id)
CROSS JOIN LATERAL (
    SELECT max(l.log_offset) + 1 AS before
    FROM (
        SELECT i.log_offset, i.appended_at
        FROM custody_log.entries AS i
        WHERE i.partition_id = p.partition_id AND i.log_offset >= s.first_offset
        ORDER BY i.log_offset
        LIMIT $2
    ) AS l
    WHERE l.appended_at < $1::timestamptz - pg_catalog.make_interval(secs => t.retention_seconds)
) AS o
WHERE t.retention_seconds IS NOT NULL AND o.before IS NOT NULL
ORDER BY p.partition_id
