-- Lets the planner read whole tables and use more memory, for this transaction: other statements look rows up by key.
SET LOCAL enable_seqscan = on;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on;
SET LOCAL work_mem = '64MB';
