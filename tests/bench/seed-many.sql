-- A database of :tables small tables for `make bench-db`, each with a key, an index, a default and a sequence.
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SELECT format('CREATE TABLE small_%1$s (id serial PRIMARY KEY, name text NOT NULL DEFAULT ''x'', number integer, at timestamptz DEFAULT now());
               INSERT INTO small_%1$s (name, number) SELECT md5(n::text), n FROM generate_series(1, 20) AS n;
               CREATE INDEX ON small_%1$s (number)', n)
FROM generate_series(1, :tables) AS n \gexec
ANALYZE;
CHECKPOINT;
