"""What is counted of each job's shards, and the triggers that count it. Reads nothing; `progress.py` does.

The database counts, in the very statement that changes a shard, so that no writer can forget it: not one of another
version of this program either. Migration 0005 makes these triggers; once they are released they are never edited here,
for a later change needs a migration and a module of its own.

SQLite has one writer at a time and keeps one row a job and kind. PostgreSQL keeps several: a transaction adds to a row
that nobody else has locked, or makes another, so that no two transactions ever wait for each other's counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

#: Sums over a job's shards as they stand, each with its SQL for one row. SPLIT shards count in none but `split`.
LEVELS: dict[str, str] = {
    **{
        name: f"CASE WHEN {{row}}.state = '{state}' THEN 1 ELSE 0 END"
        for name, state in (
            ("pending", "PENDING"),
            ("queued", "QUEUED"),
            ("leased", "LEASED"),
            ("done", "DONE"),
            ("split", "SPLIT"),
            ("buried", "DEAD"),
        )
    },
    # A running shard counts what it has read: of a compressed source that is more than the source has bytes.
    "bytes_done": "CASE WHEN {row}.state = 'SPLIT' THEN 0 WHEN {row}.state IN ('DONE', 'DEAD') "
    "OR {row}.bytes_done > {row}.bytes THEN {row}.bytes ELSE {row}.bytes_done END",
    "reused": "CASE WHEN {row}.state <> 'SPLIT' AND {row}.origin_id IS NOT NULL THEN 1 ELSE 0 END",
    "reused_bytes": "CASE WHEN {row}.state <> 'SPLIT' AND {row}.origin_id IS NOT NULL THEN {row}.bytes ELSE 0 END",
    **{
        name: f"CASE WHEN {{row}}.state <> 'SPLIT' THEN {{row}}.{name} ELSE 0 END"
        for name in ("bytes", "documents_in", "results", "dead", "tokens", "failures", "losses")
    },
}
#: Sums of what was ever done, from the same rows: each grows with its expression and never falls.
EVER: dict[str, str] = {
    "computed_shards": "CASE WHEN {row}.state IN ('DONE', 'DEAD') THEN 1 ELSE 0 END",
    "computed_bytes": "CASE WHEN {row}.state IN ('DONE', 'DEAD') THEN {row}.bytes ELSE 0 END",
    "computed_documents": LEVELS["documents_in"],
    "computed_tokens": LEVELS["tokens"],
    "dead_ever": LEVELS["dead"],
    "failures_ever": LEVELS["failures"],
    "losses_ever": LEVELS["losses"],
}
#: The columns of a shard that the sums depend on.
_WATCHED = (
    "state",
    "bytes",
    "bytes_done",
    "origin_id",
    "documents_in",
    "results",
    "dead",
    "tokens",
    "failures",
    "losses",
)
_NAMES = {"INSERT": "job_progress_insert", "UPDATE": "job_progress_update", "DELETE": "job_progress_delete"}


def of_row(expression: str, row: str) -> str:
    """Return the SQL of a sum's share of one row."""
    return expression.format(row=row)


def fill() -> str:
    """Return the statement that counts the shards which are there already."""
    sums = [f"sum({of_row(expression, 'shards')})" for expression in LEVELS.values()]
    # What was taken over from an earlier job was computed once, there.
    sums += [
        f"sum(CASE WHEN shards.origin_id IS NULL THEN {of_row(expression, 'shards')} ELSE 0 END)"
        for expression in EVER.values()
    ]
    return (
        f"INSERT INTO job_progress (job_id, kind, slot, {', '.join([*LEVELS, *EVER])}) "  # noqa: S608 - names are ours
        f"SELECT job_id, kind, 0, {', '.join(sums)} FROM shards GROUP BY job_id, kind"
    )


def create(dialect: str) -> list[str]:
    """Return the statements that make the triggers."""
    return _create_sqlite() if dialect == "sqlite" else _create_postgresql()


def drop(dialect: str) -> list[str]:
    """Return the statements that take the triggers away."""
    if dialect == "sqlite":
        return [f"DROP TRIGGER {name}" for name in _NAMES.values()]
    return [
        statement
        for name in _NAMES.values()
        for statement in (f"DROP TRIGGER {name} ON shards", f"DROP FUNCTION {name}()")
    ]


# --- SQLite: a trigger for each row


def _create_sqlite() -> list[str]:
    columns = ", ".join(LEVELS)
    values = ", ".join(of_row(expression, "new") for expression in LEVELS.values())
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in LEVELS)
    lowered = (f"{name} = {name} - ({of_row(expression, 'old')})" for name, expression in LEVELS.items())
    watched = ", ".join(_WATCHED)
    changed = " OR ".join(f"old.{column} IS NOT new.{column}" for column in _WATCHED)
    return [
        _sqlite_trigger(
            "INSERT",
            "",
            f"INSERT INTO job_progress (job_id, kind, slot, {columns}) "  # noqa: S608 - names are ours
            f"VALUES (new.job_id, new.kind, 0, {values}) ON CONFLICT (job_id, kind, slot) DO UPDATE SET {added}",
        ),
        _sqlite_trigger("UPDATE", f"OF {watched} ", _sqlite_change("new", _sqlite_updates()), f"WHEN {changed} "),
        _sqlite_trigger("DELETE", "", _sqlite_change("old", lowered)),
    ]


def _sqlite_trigger(event: str, columns: str, body: str, condition: str = "") -> str:
    return f"CREATE TRIGGER {_NAMES[event]} AFTER {event} {columns}ON shards {condition}BEGIN {body}; END"


def _sqlite_updates() -> Iterable[str]:
    for name, expression in LEVELS.items():
        yield f"{name} = {name} + ({of_row(expression, 'new')}) - ({of_row(expression, 'old')})"
    for name, expression in EVER.items():
        yield f"{name} = {name} + max(0, ({of_row(expression, 'new')}) - ({of_row(expression, 'old')}))"


def _sqlite_change(row: str, assignments: Iterable[str]) -> str:
    where = f"job_id = {row}.job_id AND kind = {row}.kind AND slot = 0"
    return f"UPDATE job_progress SET {', '.join(assignments)} WHERE {where}"  # noqa: S608 - names are ours


# --- PostgreSQL: a trigger for each statement, over all rows that it changed


def _create_postgresql() -> list[str]:
    inserted = _postgresql_rows("new_rows", LEVELS, "{}")
    deleted = _postgresql_rows("old_rows", LEVELS, "-({})")
    both = {**LEVELS, **EVER}
    changed = f"{_postgresql_rows('new_rows', both, '{}')} UNION ALL {_postgresql_rows('old_rows', both, '-({})')}"
    made = (
        ("INSERT", "NEW TABLE AS new_rows", inserted, LEVELS),
        ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows", changed, both),
        ("DELETE", "OLD TABLE AS old_rows", deleted, LEVELS),
    )
    statements = []
    for event, tables, rows, names in made:
        name = _NAMES[event]
        statements.append(_postgresql_function(name, rows, names))
        statements.append(
            f"CREATE TRIGGER {name} AFTER {event} ON shards REFERENCING {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )
    return statements


def _postgresql_rows(table: str, sums: dict[str, str], sign: str) -> str:
    columns = ", ".join(f"{sign.format(of_row(sql, table))} AS {name}" for name, sql in sums.items())
    return f"SELECT job_id, kind, {columns} FROM {table}"  # noqa: S608 - names are ours


def _postgresql_function(name: str, rows: str, names: Iterable[str]) -> str:
    names = list(names)

    def each(form: Callable[[str], str], separator: str = ", ") -> str:
        return separator.join(form(column) for column in names)

    grown = each(
        lambda column: (
            f"{column} = {column} + " + (f"greatest(change.{column}, 0)" if column in EVER else f"change.{column}")
        )
    )
    values = each(lambda column: f"greatest(change.{column}, 0)" if column in EVER else f"change.{column}")
    # By the slot and not by its place in the table: another transaction may just have moved the row.
    return f"""\
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE change record;
BEGIN
  FOR change IN
    SELECT job_id, kind, {each(lambda column: f"sum({column})::bigint AS {column}")}
    FROM ({rows}) AS changed
    GROUP BY job_id, kind HAVING {each(lambda column: f"sum({column}) <> 0", " OR ")} ORDER BY job_id, kind
  LOOP
    UPDATE job_progress SET {grown}
    WHERE job_id = change.job_id AND kind = change.kind AND slot = (
      SELECT slot FROM job_progress WHERE job_id = change.job_id AND kind = change.kind LIMIT 1 FOR UPDATE SKIP LOCKED
    );
    IF NOT FOUND THEN
      INSERT INTO job_progress (job_id, kind, slot, {each(lambda column: column)})
      VALUES (change.job_id, change.kind, pg_current_xact_id()::text::bigint, {values});
    END IF;
  END LOOP;
  RETURN NULL;
END $$"""  # noqa: S608 - names are ours
