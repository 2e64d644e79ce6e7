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
