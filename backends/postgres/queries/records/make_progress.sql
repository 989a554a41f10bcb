-- Makes progress rows, so that there is something to lock. Without offsets they say nothing yet, but for the log that
-- has taken this one's place: it did so for every partition.
-- $1 log, $2 topics, $3 partitions, $4 tenants: arrays of one length, in the order of locking.
INSERT INTO custody_pas.progress (log, topic, partition, tenant, successor)
SELECT $1, one.topic, one.partition, one.tenant,
       (SELECT min(known.successor) FROM custody_pas.progress AS known
        WHERE known.tenant = one.tenant AND known.log = $1)
FROM unnest($2::text[], $3::integer[], $4::text[]) AS one (topic, partition, tenant)
ON CONFLICT DO NOTHING;
