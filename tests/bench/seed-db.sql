-- A database of mixed shape for `make bench-db`, about :mb megabytes on disk: narrow rows, rows of 250 columns, documents
-- with binary data and arrays, 200 small tables. Deterministic.
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SELECT setseed(0.2023);

-- 40 %: narrow, with a secondary index.
CREATE TABLE narrow (id bigint PRIMARY KEY, account integer NOT NULL, amount numeric(12, 2) NOT NULL, at timestamp NOT NULL,
                     note varchar(40));
INSERT INTO narrow SELECT n, (n::bigint * 7919) % 100000, (n % 1000000) / 100.0, '2020-01-01'::timestamp + n * interval '17 s',
    'note ' || md5(n::text)
FROM generate_series(1, :mb * 3200) AS n;
CREATE INDEX ON narrow (account);

-- 25 %: 250 columns, most of them small integers, many of them NULL.
SELECT 'CREATE TABLE wide (id bigint PRIMARY KEY, '
    || string_agg(format('c%s %s', n, CASE WHEN n % 5 = 0 THEN 'varchar' WHEN n % 17 = 0 THEN 'numeric' ELSE 'integer' END), ', ')
    || ')' FROM generate_series(1, 249) AS n \gexec
SELECT 'INSERT INTO wide SELECT n, '
    || string_agg(CASE WHEN n % 5 = 0 THEN format('CASE WHEN n %% 3 = 0 THEN NULL ELSE ''v'' || (n::bigint * %s) %% 997 END', n)
                       WHEN n % 17 = 0 THEN format('(n::bigint * %s %% 100000) / 100.0', n)
                       ELSE format('CASE WHEN (n + %s) %% 4 = 0 THEN NULL ELSE (n::bigint * %s) %% 1000 END', n, n) END, ', ')
    || ' FROM generate_series(1, ' || :mb * 250 || ') AS n' FROM generate_series(1, 249) AS n \gexec
CREATE INDEX ON wide (c1);
CREATE INDEX ON wide (c5);

-- 30 %: documents, binary data, arrays.
CREATE TABLE documents (id uuid PRIMARY KEY, body jsonb NOT NULL, content bytea NOT NULL, tags text[] NOT NULL, scores integer[]);
INSERT INTO documents SELECT md5(n::text)::uuid,
    jsonb_build_object('n', n, 'name', md5((n * 3)::text), 'nested', jsonb_build_object('a', n % 10, 'b', jsonb_build_array(n, n + 1, md5(n::text)))),
    decode(md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text) || md5((n + 3)::text) || md5((n + 4)::text) || md5((n + 5)::text), 'hex'),
    ARRAY['tag' || n % 7, md5((n % 1000)::text)], ARRAY[n, n % 3, n % 11]
FROM generate_series(1, :mb * 620) AS n;
CREATE INDEX ON documents USING gin (tags);

-- 5 %: 200 small tables that refer to each other.
SELECT format('CREATE TABLE small_%s (id serial PRIMARY KEY, name text NOT NULL UNIQUE, previous integer%s)',
              n, CASE WHEN n > 1 THEN format(' REFERENCES small_%s', n - 1) ELSE '' END)
FROM generate_series(1, 200) AS n \gexec
SELECT format('INSERT INTO small_%s (name, previous) SELECT ''row '' || n, n FROM generate_series(1, %s) AS n', n, :mb * 2)
FROM generate_series(1, 200) AS n \gexec
ANALYZE;
CHECKPOINT;
