-- What only PostgreSQL 18 and newer know; goes on from rich.sql.
CREATE TABLE stays (room int4range, during daterange, price numeric, doubled numeric GENERATED ALWAYS AS (price * 2) VIRTUAL,
                    CONSTRAINT stays_key PRIMARY KEY (room, during WITHOUT OVERLAPS));
CREATE TABLE guests (name text, room int4range, during daterange,
                     CONSTRAINT guests_key PRIMARY KEY (name, during WITHOUT OVERLAPS),
                     CONSTRAINT guests_stay FOREIGN KEY (room, PERIOD during) REFERENCES stays (room, PERIOD during));
CREATE TABLE loose (id integer PRIMARY KEY, parent integer REFERENCES loose NOT ENFORCED, amount integer,
                    CONSTRAINT positive CHECK (amount > 0) NOT ENFORCED,
                    CONSTRAINT amount_there NOT NULL amount NO INHERIT);
INSERT INTO stays (room, during, price)
SELECT int4range(n, n + 1), daterange('2026-01-01'::date + n, '2026-02-01'::date + n), n FROM generate_series(1, 50) AS n;
INSERT INTO guests SELECT 'guest ' || n, int4range(n, n + 1), daterange('2026-01-05'::date + n, '2026-01-10'::date + n)
FROM generate_series(1, 50) AS n;
INSERT INTO loose VALUES (1, 99, -5), (2, 1, 7);
-- NOT NULL constraints with names, not validated, not inherited; keys over time of partitions.
CREATE TABLE named_nulls (id integer CONSTRAINT id_there NOT NULL PRIMARY KEY, a integer CONSTRAINT a_there NOT NULL NO INHERIT,
                          b integer, c integer);
INSERT INTO named_nulls (id, a, b) VALUES (1, 1, NULL), (2, 2, 3);
ALTER TABLE named_nulls ADD CONSTRAINT b_there NOT NULL b NOT VALID;
ALTER TABLE named_nulls ADD CONSTRAINT c_there NOT NULL c NO INHERIT NOT VALID;
COMMENT ON CONSTRAINT b_there ON named_nulls IS 'not yet';
CREATE TABLE by_kind (kind int4range, during daterange, CONSTRAINT by_kind_key PRIMARY KEY (kind, during WITHOUT OVERLAPS))
    PARTITION BY LIST (kind);
CREATE TABLE by_kind_1 PARTITION OF by_kind FOR VALUES IN ('[1,2)');
INSERT INTO by_kind VALUES ('[1,2)', '[2020-01-01,2020-02-01)');
CREATE TABLE unenforced (id integer REFERENCES named_nulls NOT ENFORCED);
INSERT INTO unenforced VALUES (55);
CREATE TABLE beyond (i interval);
INSERT INTO beyond VALUES ('infinity'), ('-infinity');
CREATE PUBLICATION with_generated FOR TABLE stays WITH (publish_generated_columns = stored);
