-- What a new connection has to know of its server: the schema's version, and whether commits are durable.
SELECT (SELECT max(version) FROM custody_pas.schema_versions) AS version,
       current_setting('synchronous_commit') AS synchronous_commit;
