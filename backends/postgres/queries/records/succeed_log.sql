-- A log takes another one's place for a tenant, and that of all it had taken the place of. $1 tenant, $2 old, $3 new.
UPDATE custody_pas.progress
SET successor = CASE WHEN log = $3 THEN NULL ELSE $3 END
WHERE tenant = $1 AND (log IN ($2, $3) OR successor IN ($2, $3));
