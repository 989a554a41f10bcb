"""The archive worker next to the systems that people would pick instead, from one log into the same servers.

Each side drains the same topics of one broker of Kafka, as a group of its own, into an empty database of one server:
the archive worker with records, parts, targets, statuses, progress and notices; a peer with one row or document a
message. The peers' settings are the fastest found among those that lose nothing and double nothing when the process is
killed and an id comes again. Seen with each sink as it is set here: killed with SIGKILL three times on the way, each id
in the log three times, twice in a row; in the end every id was there once.

**Debezium's JDBC sink**, into Postgres: upsert by id, through its reduction buffer, without which an id that comes
twice in one batch stops it for good. The sink wants a schema. JSON with the schema embedded would make every entry
larger, and a schema kept beside it would have every entry taken apart, for nested fields that the sink can't store. So
an entry is handed on as the bytes it is, in a row's one field (`HoistField`), and its id comes from the CloudEvent's
header, the other headers being dropped: no schema travels and nothing is decoded, the least that can be asked of it.
It has two turns. By `UNNEST` it can't write bytes ("byte[] nested inside Object[]"), so the entry is text there, with
every quote of the JSON escaped. By plain statements, which the driver makes into some of many rows each
(`reWriteBatchedInserts`), it is bytes, and faster: 1.4 times here.

**MongoDB's sink**, into MongoDB: replace by business id, with a unique index on it, unordered, journaled and on the
majority. It has two turns too: with entries as bytes, made likewise (`HeaderToValue` brings the id), which is fastest;
and with entries as documents field by field, as most use it.

**A plain handler of FastStream**, into Postgres: one message, one `INSERT .. ON CONFLICT DO NOTHING`, one
acknowledgement of its own (`AckPolicy.MANUAL`).

**The archive** has a worker for each core, as it is meant to be run, and another turn with one worker alone. A sink is
one process, with the tasks that make it fastest, and uses all cores by itself; the plain handler is one process.

The clock runs from when the group's partitions are first somebody's until the last row is there, as a look from outside
finds it; for the archive, whose workers first share them and then wait for the word, from that word. What comes before
is told apart: starting the process, and in Java the connector besides. A JVM, with as much heap as Kafka's own scripts
give it, stays up for all turns of its sink; the connector is made anew for each. The first round, which doesn't count,
warms it. CPU time and memory are the process' own, the servers' left out.
"""
