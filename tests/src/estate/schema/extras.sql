-- What lives in such a database besides tables: extensions of the platform, a view, a function with its trigger,
-- a sequence that belongs to no table, comments.
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['citext', 'uuid-ossp', 'pgcrypto'] LOOP
        IF EXISTS (SELECT FROM pg_available_extensions WHERE name = wanted) THEN
            EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA public', wanted);
        END IF;
    END LOOP;
END $$;

CREATE SEQUENCE duplicate_set_id_seq START WITH 1000 INCREMENT BY 10;
SELECT setval('duplicate_set_id_seq', 48210);

CREATE VIEW organisation_log_counts AS
    SELECT o.id, o.name, l.lettings, s.sales
    FROM organisations o
    LEFT JOIN (SELECT owning_organisation_id, count(*) AS lettings FROM lettings_logs GROUP BY 1) l
        ON l.owning_organisation_id = o.id
    LEFT JOIN (SELECT owning_organisation_id, count(*) AS sales FROM sales_logs GROUP BY 1) s
        ON s.owning_organisation_id = o.id;

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp() AT TIME ZONE 'utc';
    RETURN NEW;
END $$;
CREATE TRIGGER local_authorities_touch_updated_at BEFORE UPDATE ON local_authorities
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

COMMENT ON TABLE lettings_logs IS 'One row for each letting of a social home; it''s the widest table of the service.';
COMMENT ON COLUMN bulk_uploads.identifier IS 'The key of the uploaded file in the bulk-upload bucket.';
COMMENT ON FUNCTION touch_updated_at() IS 'Keeps updated_at honest when a person edits by hand.';
