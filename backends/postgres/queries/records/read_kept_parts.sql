-- Every part of a tenant whose bytes are kept, and since when both its record and its bytes are.
SELECT record_id, number, target_id, place, size, sha256, shared, greatest(named_at, kept_at) AS kept_at
FROM custody_pas.part_states
WHERE tenant = $1 AND state = 'kept';
