#!/bin/sh
# Makes hanmill's database and the role that owns it, which is no superuser. Run once, by the image of PostgreSQL when its
# volume is empty; by hand: PGHOST=… PGUSER=postgres DATABASE_PASSWORD=… ./10-make-database.sh
set -eu

: "${DATABASE_PASSWORD:?the password of the role hanmill is not set}"

# By standard input: a command line can be read by everybody on the machine.
psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${PGUSER:-postgres}" --dbname postgres <<'SQL'
\getenv password DATABASE_PASSWORD
CREATE ROLE hanmill LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
CREATE DATABASE hanmill OWNER hanmill ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE hanmill FROM PUBLIC;
SQL
