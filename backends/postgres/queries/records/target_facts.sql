-- How the parts that name each target ended. $1 tenants, $2 target ids.
SELECT part.tenant, part.target_id,
       count(*) AS parts,
       count(*) FILTER (WHERE part.state = 'kept') AS kept,
       count(*) FILTER (WHERE part.state = 'lost') AS lost,
       count(*) FILTER (WHERE part.state = 'lost' AND part.reason = 'gone') AS gone,
       count(*) FILTER (WHERE part.state = 'lost' AND part.reason = 'gone' AND part.witnessed) > 0 AS witnessed,
       max(greatest(part.named_at, part.kept_at)) AS settled_at
FROM unnest($1::text[], $2::text[]) AS wanted (tenant, target_id)
JOIN custody_pas.part_states AS part ON part.tenant = wanted.tenant AND part.target_id = wanted.target_id
GROUP BY part.tenant, part.target_id;
