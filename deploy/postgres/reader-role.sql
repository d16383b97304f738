-- A role for people who look at results: it reads the views (docs/reference/views.md) and nothing else, no table and no
-- password in one. The owner of the database runs this once after `hanmill db upgrade`:
--   psql --set password="$READER_PASSWORD" --file deploy/postgres/reader-role.sql
-- Upgrades keep what is granted. For views that a later version adds, run the statement DO again.
CREATE ROLE hanmill_reader LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
GRANT USAGE ON SCHEMA public TO hanmill_reader;
DO $$
DECLARE
  name text;
BEGIN
  FOR name IN SELECT viewname FROM pg_views WHERE schemaname = 'public' AND starts_with(viewname, 'v_') LOOP
    EXECUTE format('GRANT SELECT ON %I TO hanmill_reader', name);
  END LOOP;
END
$$;
