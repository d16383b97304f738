"""Every key in Redis: its type, its meaning, who writes it, how long it lives. Redis holds hints, never the truth.

key             type     meaning                                         written by          lives
hanmill.cpu     list     messages for CPU workers                        kombu               until fetched
hanmill.gpu     list     messages for GPU workers                        kombu               until fetched
hanmill.control list     dispatch, reconcile, ingest                     kombu               until fetched
unacked         hash     messages that workers hold                      kombu               until acknowledged
unacked_index   zset     when each of them was fetched, or renewed      kombu, workers      until acknowledged
hanmill.epoch   string   gone after a flush or an empty restart: what    reconciler          for ever
                         the ledger believes queued is lost then
hanmill.refused list     the newest of what was refused, for operators    workers             until 100 newer ones
hanmill.worker.NAME string  the queues that a worker consumes, JSON:      that worker         60 s after its last word
                         operators are told how many workers are up
_kombu.binding.*, celery.pidbox, celeryev.*   kombu's and Celery's own (remote control, events)
"""

QUEUE_CPU = "hanmill.cpu"
QUEUE_GPU = "hanmill.gpu"
QUEUE_CONTROL = "hanmill.control"
UNACKED = "unacked"
UNACKED_INDEX = "unacked_index"
#: The header of a message that names its shard.
SHARD_HEADER = "shard"
EPOCH = "hanmill.epoch"
REFUSED = "hanmill.refused"
WORKER_PREFIX = "hanmill.worker."
