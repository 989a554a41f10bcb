-- join_group --
-- Makes the group if it is new. $1 name.
INSERT INTO custody_log.groups (name) VALUES ($1) ON CONFLICT (name) DO NOTHING

-- find_group --
-- $1 name.
SELECT group_id FROM custody_log.groups WHERE name = $1

-- lock_group --
-- One change of a group's claims at a time, until the transaction ends. $1 group.
SELECT FROM custody_log.groups WHERE group_id = $1 FOR NO KEY UPDATE

-- renew_lease --
-- Keeps a member alive, if it still is one. $1 group, $2 member, $3 for so many seconds.
UPDATE custody_log.members
SET lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3)
WHERE group_id = $1 AND member_id = $2
RETURNING member_id

-- enter_member --
-- Makes or renews a member. $1 group, $2 member, $3 streams, $4 for so many seconds.
INSERT INTO custody_log.members (group_id, member_id, streams, lease_until)
VALUES ($1, $2, $3, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4))
ON CONFLICT (group_id, member_id) DO UPDATE SET streams = excluded.streams, lease_until = excluded.lease_until

-- expel_members --
-- Members whose lease is over; their claims are free from now on. $1 group.
DELETE FROM custody_log.members WHERE group_id = $1 AND lease_until < pg_catalog.clock_timestamp()

-- list_members --
-- $1 group.
SELECT member_id, streams FROM custody_log.members WHERE group_id = $1

-- add_claims --
-- A claim for every partition of these streams that the group has none for yet. $1 group, $2 streams.
INSERT INTO custody_log.claims (group_id, partition_id)
SELECT $1, p.partition_id
FROM custody_log.topics AS t
JOIN custody_log.log_partitions AS p USING (topic_id)
WHERE
    t.stream = ANY ($2::text[])
    AND NOT EXISTS (
        SELECT FROM custody_log.claims AS c WHERE c.group_id = $1 AND c.partition_id = p.partition_id
    )
ON CONFLICT (group_id, partition_id) DO NOTHING

-- list_claims --
-- Every claim of a group. $1 group.
SELECT c.partition_id, t.name, t.stream, p.partition, c.owner, c.epoch
FROM custody_log.claims AS c
JOIN custody_log.log_partitions AS p USING (partition_id)
JOIN custody_log.topics AS t USING (topic_id)
WHERE c.group_id = $1
ORDER BY c.partition_id

-- list_owners --
-- Who reads which partition for a group, of its members that are alive. $1 group's name.
SELECT t.name, p.partition, c.owner
FROM custody_log.groups AS g
JOIN custody_log.claims AS c USING (group_id)
JOIN custody_log.members AS m ON m.group_id = g.group_id AND m.member_id = c.owner
JOIN custody_log.log_partitions AS p USING (partition_id)
JOIN custody_log.topics AS t USING (topic_id)
WHERE g.name = $1 AND m.lease_until >= pg_catalog.clock_timestamp()

-- take_claims --
-- Makes a member the owner, under a new epoch. Only under the group's lock. $1 group, $2 partition ids, $3 member.
UPDATE custody_log.claims
SET owner = $3, epoch = epoch + 1
WHERE group_id = $1 AND partition_id = ANY ($2::integer[])
RETURNING partition_id, epoch

-- give_claims --
-- Gives claims back. $1 group, $2 partition ids, $3 their owner until now.
UPDATE custody_log.claims
SET owner = NULL
WHERE group_id = $1 AND partition_id = ANY ($2::integer[]) AND owner = $3

-- leave_group --
-- Ends a membership and gives everything back. $1 group, $2 member.
WITH given AS (
    UPDATE custody_log.claims SET owner = NULL WHERE group_id = $1 AND owner = $2
)
DELETE FROM custody_log.members WHERE group_id = $1 AND member_id = $2

-- starts --
-- Where a group may begin to read: its committed offset, and the partition's bounds. $1 group, $2 partition ids.
SELECT c.partition_id, c.committed, s.first_offset, p.next_offset
FROM custody_log.claims AS c
JOIN custody_log.log_partitions AS p USING (partition_id)
JOIN custody_log.log_starts AS s USING (partition_id)
WHERE c.group_id = $1 AND c.partition_id = ANY ($2::integer[])

-- commit --
-- Moves a group's offsets, all of them or none: none if one of the claims has passed to another owner or epoch.
-- $1 group, $2 member, $3 partition ids, $4 epochs, $5 next offsets.
WITH
wanted AS (
    SELECT * FROM unnest($3::integer[], $4::bigint[], $5::bigint[]) AS w (partition_id, epoch, next_offset)
),
held AS MATERIALIZED (
    SELECT c.partition_id, w.next_offset
    FROM custody_log.claims AS c
    JOIN wanted AS w USING (partition_id)
    WHERE c.group_id = $1 AND c.owner = $2 AND c.epoch = w.epoch
    ORDER BY c.partition_id
    FOR NO KEY UPDATE OF c
)
UPDATE custody_log.claims AS c
SET committed = h.next_offset
FROM held AS h
WHERE
    c.group_id = $1
    AND c.partition_id = h.partition_id
    AND (SELECT count(*) FROM held) = (SELECT count(*) FROM wanted)

-- committed --
-- A group's committed next offsets. $1 group's name, $2 topics.
SELECT t.name, p.partition, c.committed
FROM custody_log.groups AS g
JOIN custody_log.claims AS c USING (group_id)
JOIN custody_log.log_partitions AS p USING (partition_id)
JOIN custody_log.topics AS t USING (topic_id)
WHERE g.name = $1 AND t.name = ANY ($2::text[]) AND c.committed IS NOT NULL
