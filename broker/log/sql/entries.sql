-- append_few --
-- A group of appends in one statement: takes the offsets, then writes the entries. The rows of the partitions
-- are locked in the order of their ids, so that two writers never wait for each other.
-- $1 partition ids and $2 how many entries for each; for each entry: $3 partition id, $4 its number among those
-- of its partition, $5 key, $6 headers, $7 value.
WITH
wanted AS (
    SELECT * FROM unnest($1::integer[], $2::integer[]) AS w (partition_id, entry_count)
),
locked AS MATERIALIZED (
    SELECT p.partition_id
    FROM custody_log.log_partitions AS p
    WHERE p.partition_id = ANY ($1::integer[])
    ORDER BY p.partition_id
    FOR NO KEY UPDATE
),
moved AS (
    UPDATE custody_log.log_partitions AS p
    SET
        next_offset = p.next_offset + w.entry_count,
        last_appended_at = greatest(p.last_appended_at, pg_catalog.clock_timestamp())
    FROM wanted AS w
    JOIN locked AS l USING (partition_id)
    WHERE p.partition_id = w.partition_id
    RETURNING p.partition_id, p.next_offset - w.entry_count AS base, p.last_appended_at
)
INSERT INTO custody_log.entries (partition_id, log_offset, appended_at, key, headers, value)
SELECT n.partition_id, m.base + n.number, m.last_appended_at, n.key, n.headers, n.value
FROM (
    SELECT
        unnest($3::integer[]) AS partition_id,
        unnest($4::integer[]) AS number,
        unnest($5::bytea[]) AS key,
        unnest($6::bytea[]) AS headers,
        unnest($7::bytea[]) AS value
) AS n
JOIN moved AS m USING (partition_id)

-- take_offsets --
-- The first half of a larger group of appends; the entries follow by COPY in the same transaction.
-- $1 partition ids, $2 how many entries for each.
WITH
wanted AS (
    SELECT * FROM unnest($1::integer[], $2::integer[]) AS w (partition_id, entry_count)
),
locked AS MATERIALIZED (
    SELECT p.partition_id
    FROM custody_log.log_partitions AS p
    WHERE p.partition_id = ANY ($1::integer[])
    ORDER BY p.partition_id
    FOR NO KEY UPDATE
)
UPDATE custody_log.log_partitions AS p
SET
    next_offset = p.next_offset + w.entry_count,
    last_appended_at = greatest(p.last_appended_at, pg_catalog.clock_timestamp())
FROM wanted AS w
JOIN locked AS l USING (partition_id)
WHERE p.partition_id = w.partition_id
RETURNING p.partition_id, p.next_offset - w.entry_count AS base, p.last_appended_at

-- ends --
-- The first and next offset of some partitions. $1 partition ids.
SELECT p.partition_id, s.first_offset, p.next_offset
FROM custody_log.log_partitions AS p
JOIN custody_log.log_starts AS s USING (partition_id)
WHERE p.partition_id = ANY ($1::integer[])

-- fetch --
-- Entries of several partitions, in the order the partitions are named, until their values add up to $4 bytes;
-- always at least one. $1 partition ids, $2 from these offsets, $3 to before these.
WITH
wanted AS (
    SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) WITH ORDINALITY
        AS w (partition_id, first, before, turn)
),
sized AS (
    SELECT
        w.turn, w.partition_id, w.first, e.log_offset,
        sum(e.size) OVER (ORDER BY w.turn, e.log_offset ROWS UNBOUNDED PRECEDING) - e.size AS bytes_before
    FROM wanted AS w
    CROSS JOIN LATERAL (
        SELECT i.log_offset, octet_length(i.value) AS size
        FROM custody_log.entries AS i
        WHERE i.partition_id = w.partition_id AND i.log_offset >= w.first AND i.log_offset < w.before
        ORDER BY i.log_offset
        OFFSET 0  -- keeps the values, which may be large, out of the sort
    ) AS e
),
fitting AS (
    SELECT turn, partition_id, first, max(log_offset) AS last
    FROM sized
    WHERE bytes_before < $4::bigint
    GROUP BY turn, partition_id, first
    ORDER BY turn
)
SELECT e.partition_id, e.log_offset, e.appended_at, e.key, e.headers, e.value
FROM fitting AS f
CROSS JOIN LATERAL (
    SELECT *
    FROM custody_log.entries AS i
    WHERE i.partition_id = f.partition_id AND i.log_offset BETWEEN f.first AND f.last
    ORDER BY i.log_offset
) AS e

-- read --
-- Entries of one partition, outside any group. $1 topic, $2 partition, $3 from this offset, $4 how many at most.
SELECT e.log_offset, e.appended_at, e.key, e.headers, e.value
FROM custody_log.topics AS t
JOIN custody_log.log_partitions AS p USING (topic_id)
CROSS JOIN LATERAL (
    SELECT *
    FROM custody_log.entries AS i
    WHERE i.partition_id = p.partition_id AND i.log_offset >= $3
    ORDER BY i.log_offset
    LIMIT $4
) AS e
WHERE t.name = $1 AND p.partition = $2
