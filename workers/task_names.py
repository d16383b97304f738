"""The names of the Celery tasks: written out, since they outlive every deploy and stand in other people's programs."""

RUN_SHARD = "hanmill.run_shard"
RECONCILE = "hanmill.reconcile"
INGEST = "hanmill.ingest"
FREE_SHARD = "hanmill.free_shard"
START_RUN = "hanmill.start_run"
