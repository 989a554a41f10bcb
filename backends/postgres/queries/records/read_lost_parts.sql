-- Every part of a tenant whose bytes were given up, and why.
SELECT record_id, number, target_id, media_kind, reason, kept_at AS lost_at
FROM custody_pas.part_states
WHERE tenant = $1 AND state = 'lost';
