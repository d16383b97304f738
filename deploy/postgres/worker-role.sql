-- A role for workers, producers and readers that may change rows and nothing else: no table, no trigger, no role. The owner
-- of the database runs this once after `hanmill db upgrade`, and goes on upgrading as itself:
--   psql --set password="$WORKER_PASSWORD" --file deploy/postgres/worker-role.sql
CREATE ROLE hanmill_worker LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
GRANT USAGE ON SCHEMA public TO hanmill_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hanmill_worker;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO hanmill_worker;
-- What later upgrades make, too.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO hanmill_worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO hanmill_worker;
