-- A database with one of everything that a dump can hold: what the estate of the service does not have, others do.
-- Runs on PostgreSQL 13 and newer.

CREATE EXTENSION citext;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION btree_gist;
COMMENT ON EXTENSION citext IS 'words of our own';

CREATE SCHEMA "Odd Schema";
COMMENT ON SCHEMA "Odd Schema" IS 'needs quotes';

-- Types
CREATE TYPE mood AS ENUM ('sad', 'fine', 'happy');
ALTER TYPE mood ADD VALUE 'ecstatic' AFTER 'happy';
ALTER TYPE mood ADD VALUE 'so-so' BEFORE 'fine';
CREATE TYPE address AS (street text, number integer, "Größe" numeric(6, 2));
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN postcode AS text COLLATE "C" DEFAULT 'AA1 1AA' NOT NULL CONSTRAINT form CHECK (VALUE ~ '^[A-Z0-9 ]+$');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN small_positive AS positive CHECK (VALUE < 100);
COMMENT ON TYPE mood IS 'how it is';

-- Functions, an aggregate, a procedure, an operator, a cast
CREATE FUNCTION double_of(value integer, times integer DEFAULT 2) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT value * times $$;
CREATE FUNCTION rows_of(prefix text) RETURNS TABLE (id bigint, label text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog COST 50 ROWS 7 AS $body$
BEGIN
    RETURN QUERY SELECT 1::bigint, prefix || E'\\tand\n''quotes''';
END $body$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := '2024-01-01'; RETURN NEW; END $$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trigger fired'; END $$;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
CREATE PROCEDURE do_nothing(INOUT x integer) LANGUAGE plpgsql AS $$ BEGIN x := x; END $$;
CREATE AGGREGATE product(integer) (SFUNC = int4mul, STYPE = integer, INITCOND = '1');
CREATE FUNCTION address_equal(a address, b address) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT a.street = b.street $$;
CREATE OPERATOR === (LEFTARG = address, RIGHTARG = address, FUNCTION = address_equal, COMMUTATOR = ===);
CREATE FUNCTION mood_number(m mood) RETURNS integer LANGUAGE sql STABLE AS $$ SELECT 1 $$;
CREATE CAST (mood AS integer) WITH FUNCTION mood_number(mood) AS ASSIGNMENT;
CREATE COLLATION "Odd Schema".bytewise FROM "C";
CREATE TEXT SEARCH CONFIGURATION plain_english (COPY = pg_catalog.simple);

-- One column of each type, with the values that are known to be lost on the way
CREATE TABLE every_type (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5) PRIMARY KEY,
    a_bool boolean, a_int2 smallint, a_int4 integer, a_int8 bigint, a_num numeric, a_money_like numeric(14, 2),
    a_real real, a_double double precision, a_text text, a_varchar varchar(20), a_char char(5), a_name name,
    a_bytea bytea, a_date date, a_time time, a_timetz timetz, a_ts timestamp, a_tstz timestamptz, a_interval interval,
    a_uuid uuid, a_json json, a_jsonb jsonb, a_xml xml, a_inet inet, a_cidr cidr, a_mac macaddr, a_bit bit(5),
    a_varbit bit varying(9), a_point point, a_polygon polygon, a_circle circle, a_tsvector tsvector, a_tsquery tsquery,
    a_int4range int4range, a_tstzrange tstzrange, a_float_range float_range, a_citext citext, a_mood mood, moods mood[],
    numbers integer[], texts text[][], an_address address, addresses address[], a_postcode postcode,
    a_small small_positive, a_reg regclass
);
INSERT INTO every_type VALUES
(DEFAULT, true, -32768, 2147483647, -9223372036854775808, 'NaN', 12345678901.10, 'NaN', '-0', E'tab\tnewline\n back\\slash',
 'ünïcødé 字 😀', 'pad', 'a_name', '\x00ff10', 'infinity', '24:00:00', '12:34:56.789+02', '-infinity',
 '2024-03-31 01:30:00+00', 'P1Y2M3DT4H5M6.000007S', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1,  "a": [1.10, null]}',
 '{"b": 1, "a": [1.10, null], "deep": {"x": "\u00e9"}}', '<a b="c">d</a>', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03',
 B'10101', B'1', '(1.5,-2.25)', '((0,0),(1,0),(1,1))', '<(0,0),3.3>', 'fat:2 cat:3', 'fat & !rat', '[1,10)',
 '["2024-01-01 00:00:00+00",)', '[1.1,2.2]', 'CaseLess', 'ecstatic', '{sad,NULL,so-so}', '{1,NULL,3}',
 '{{a,b},{"c,d","NULL"}}', ROW('High St', 1, 2.50), ARRAY[ROW('A "quoted" St', NULL, 0)::address], 'N1 9GU', 42, 'pg_class');
INSERT INTO every_type VALUES (DEFAULT, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, DEFAULT, NULL, NULL);
INSERT INTO every_type VALUES
(DEFAULT, false, 0, 0, 0, 1e-20, 0.00, 3.4028235e38, 5e-324, '', '', '', '', '', '4714-11-24 BC', '00:00', '00:00+00',
 '294276-12-31 23:59:59.999999', '4714-11-24 00:00:00+00 BC', 'P-1Y', '00000000-0000-0000-0000-000000000000', '[]', '""', '',
 '::1', '::/0', '00:00:00:00:00:00', B'00000', B'', '(0,0)', '((0,0))', '<(0,0),0>', '', '', 'empty', 'empty', 'empty', '', 'sad',
 '{}', '{}', '{}', ROW(NULL, NULL, NULL), '{}', 'A', 1, NULL);
INSERT INTO every_type (a_num, a_double, a_text)
SELECT 10::numeric ^ (n % 40 - 20) / 3, sqrt(n) / 7, repeat(md5(n::text), n % 50) FROM generate_series(1, 500) AS n;

-- Names, dropped columns, columns without end, no columns, no rows, no key
CREATE TABLE "Odd Schema"."Ünusual ""Täble""" (
    "select" integer PRIMARY KEY, dropped_one text, "größe in m²" numeric NOT NULL DEFAULT 1.5, dropped_two text, "a.b" text);
ALTER TABLE "Odd Schema"."Ünusual ""Täble""" DROP COLUMN dropped_one;
ALTER TABLE "Odd Schema"."Ünusual ""Täble""" DROP COLUMN dropped_two;
INSERT INTO "Odd Schema"."Ünusual ""Täble""" SELECT n, n / 3.0, 'x' || n FROM generate_series(1, 100) AS n;
COMMENT ON COLUMN "Odd Schema"."Ünusual ""Täble"""."größe in m²" IS 'square metres, ''quoted''';
CREATE TABLE without_columns ();
INSERT INTO without_columns DEFAULT VALUES;
INSERT INTO without_columns DEFAULT VALUES;
CREATE TABLE empty (id integer PRIMARY KEY, note text);
CREATE TABLE without_key (a integer, b text);
INSERT INTO without_key VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL), (2, '\N'), (3, '\.');
CREATE UNLOGGED TABLE unlogged (id integer PRIMARY KEY, note text);
INSERT INTO unlogged SELECT n, 'n' || n FROM generate_series(1, 50) AS n;
CREATE TABLE documents (id integer PRIMARY KEY, body text) WITH (fillfactor = 70, autovacuum_enabled = false);
ALTER TABLE documents ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE documents ALTER COLUMN body SET STATISTICS 500;
INSERT INTO documents SELECT n, repeat(md5(n::text), 3000) FROM generate_series(1, 20) AS n;

-- Generated columns, defaults, triggers, rules, checks
CREATE SEQUENCE numbers START 1000 INCREMENT -3 MINVALUE -5000 MAXVALUE 1000 CYCLE CACHE 4;
CREATE SEQUENCE never_called START 77;
CREATE SEQUENCE small AS smallint;
SELECT setval('small', 32000);
CREATE TABLE people (
    id serial PRIMARY KEY, name text NOT NULL, email citext UNIQUE, height integer CHECK (height BETWEEN 0 AND 300),
    twice integer GENERATED ALWAYS AS (double_of(height)) STORED,
    shout text GENERATED ALWAYS AS (upper(name)) STORED,
    number integer DEFAULT nextval('numbers'), mood mood DEFAULT 'fine', updated_at timestamp DEFAULT now(),
    manager_id integer, CONSTRAINT manager FOREIGN KEY (manager_id) REFERENCES people DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT named CHECK (name <> '') NO INHERIT);
INSERT INTO people (name, email, height, manager_id, updated_at)
SELECT 'Person ' || n, 'P' || n || '@example.com', 100 + n % 100, nullif(n / 10, 0), '2024-05-05'::timestamp + n * interval '1 s'
FROM generate_series(1, 300) AS n;
SELECT nextval('numbers');
ALTER TABLE people ADD CONSTRAINT tall CHECK (height > 150) NOT VALID;
ALTER TABLE people ADD CONSTRAINT one_name UNIQUE (name, id) DEFERRABLE;
CREATE TRIGGER touch BEFORE UPDATE OF name, height ON people FOR EACH ROW
    WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION touch();
CREATE TRIGGER refuse_inserts BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER off AFTER DELETE ON people FOR EACH STATEMENT EXECUTE FUNCTION refuse();
ALTER TABLE people DISABLE TRIGGER off;
CREATE TRIGGER in_replica AFTER DELETE ON people FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE people ENABLE REPLICA TRIGGER in_replica;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON people DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE INDEX people_lower ON people (lower(name) text_pattern_ops DESC NULLS LAST) WHERE height > 120;
CREATE INDEX people_cover ON people (mood) INCLUDE (name);
CREATE INDEX people_gin ON people USING gin (to_tsvector('english', name));
ALTER INDEX people_lower ALTER COLUMN 1 SET STATISTICS 300;
CREATE STATISTICS people_stats (ndistinct, dependencies) ON name, height FROM people;
ALTER TABLE people CLUSTER ON people_pkey;
CREATE RULE no_deletes AS ON DELETE TO documents DO INSTEAD NOTHING;
COMMENT ON CONSTRAINT tall ON people IS 'not yet checked';
COMMENT ON INDEX people_lower IS 'an index';
COMMENT ON TRIGGER touch ON people IS 'a trigger';

CREATE TABLE bookings (room integer NOT NULL, during tstzrange NOT NULL, person_id integer NOT NULL,
    EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO bookings SELECT n, tstzrange('2024-01-01', '2024-01-02'), 1 + n % 300 FROM generate_series(1, 40) AS n;
ALTER TABLE bookings ADD CONSTRAINT of_person FOREIGN KEY (person_id) REFERENCES people ON DELETE CASCADE;
ALTER TABLE bookings ADD COLUMN document_id integer;
UPDATE bookings SET document_id = 999 WHERE room = 7;
ALTER TABLE bookings ADD CONSTRAINT of_document FOREIGN KEY (document_id) REFERENCES documents NOT VALID;
CREATE UNIQUE INDEX bookings_identity ON bookings (room);
ALTER TABLE bookings REPLICA IDENTITY USING INDEX bookings_identity;

-- Partitions of partitions, and inheritance
CREATE TABLE events (id bigint NOT NULL, at date NOT NULL, kind text NOT NULL, note text DEFAULT 'none',
    PRIMARY KEY (id, at, kind)) PARTITION BY RANGE (at);
CREATE TABLE events_2023 PARTITION OF events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
CREATE TABLE events_2024_a PARTITION OF events_2024 FOR VALUES IN ('a', 'b');
CREATE TABLE events_other PARTITION OF events_2024 DEFAULT;
CREATE INDEX events_by_kind ON events (kind, at);
CREATE TRIGGER of_events BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE events ADD CONSTRAINT short CHECK (length(note) < 1000);
INSERT INTO events SELECT n, '2023-06-01'::date + n % 500, chr(97 + n % 4), 'note ' || n FROM generate_series(1, 1000) AS n;
CREATE TABLE event_notes (event_id bigint, event_at date, event_kind text, note text,
    FOREIGN KEY (event_id, event_at, event_kind) REFERENCES events (id, at, kind));
INSERT INTO event_notes SELECT id, at, kind, note FROM events WHERE id % 10 = 0;
CREATE TABLE hashed (id integer PRIMARY KEY, note text) PARTITION BY HASH (id);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT n, 'h' || n FROM generate_series(1, 200) AS n;
CREATE TABLE animals (id integer PRIMARY KEY, name text CHECK (name <> ''));
CREATE TABLE dogs (tricks text) INHERITS (animals);
INSERT INTO animals VALUES (1, 'generic');
INSERT INTO dogs VALUES (2, 'Rex', 'sit'), (3, 'Fido', NULL);

-- Views on views, materialised views on both
CREATE VIEW tall_people AS SELECT p.id, p.name, p.height FROM people p WHERE p.height > 150;
CREATE VIEW names AS SELECT t.name AS "Full Name", count(*) OVER () AS n FROM tall_people t;
CREATE VIEW checked WITH (security_barrier) AS SELECT id, height FROM people WHERE height > 0 WITH LOCAL CHECK OPTION;
CREATE RULE redirect AS ON INSERT TO names DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW by_height AS SELECT height, count(*) AS n FROM tall_people GROUP BY height;
CREATE UNIQUE INDEX by_height_key ON by_height (height);
CREATE MATERIALIZED VIEW a_summary AS SELECT sum(n) AS total FROM by_height;
CREATE MATERIALIZED VIEW not_filled AS SELECT 1 AS one WITH NO DATA;
COMMENT ON VIEW names IS 'a view';

-- Row security
CREATE TABLE secrets (id integer PRIMARY KEY, owner text NOT NULL, secret text);
INSERT INTO secrets VALUES (1, 'somebody', 'one'), (2, 'postgres', 'two');
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_secrets ON secrets USING (owner = CURRENT_USER) WITH CHECK (owner = CURRENT_USER);
CREATE POLICY by_query ON secrets AS RESTRICTIVE FOR SELECT USING (EXISTS (SELECT 1 FROM people WHERE people.id = secrets.id));

CREATE PUBLICATION changes FOR TABLE people, documents WITH (publish = 'insert, update');
CREATE EVENT TRIGGER watch_ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION on_ddl();
