-- Every part of a tenant whose bytes are not kept: given up, and why, or open.
SELECT record_id, number, target_id, media_kind, coalesce(state, 'open') AS state, coalesce(reason, '') AS reason,
       coalesce(kept_at, named_at) AS since
FROM custody_pas.part_states
WHERE tenant = $1 AND state IS DISTINCT FROM 'kept';
