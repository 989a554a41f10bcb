-- Other logs that these topics were kept from, and that none has taken the place of. $1 log, $2 topics.
SELECT DISTINCT topic, log
FROM custody_pas.progress
WHERE log <> $1 AND topic = ANY ($2::text[]) AND next_offset IS NOT NULL AND successor IS NULL;
