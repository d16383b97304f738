"""Every error that is raised on purpose, one class per thing a caller can do about it.

Three families decide what the queue does with a shard: `TransientError` is tried again later, `PermanentError`
sends a document to the dead letters, and anything else is a bug and is loud.
"""


class HanmillError(Exception):
    """Base of all errors below. Its text is a sentence for the user: what happened, where, and what to do."""


class UsageError(HanmillError):
    """The user asked for something that cannot be done. Nothing was started; change the request (exit code 2)."""


class TransientError(HanmillError):
    """The world is not ready (a file server away, a database busy). Try the same again later."""


class SourceUnavailableError(TransientError):
    """A source cannot be opened or read just now. Check the path, the mount and the permissions, then retry."""


class SourceChangedError(TransientError):
    """A source is no longer what it was at planning. Its shards are planned again, then run."""


class StorageError(TransientError):
    """The database refuses to work (its disk is full, say). Mend it; what was to be written is tried again."""


class PermanentError(HanmillError):
    """Trying the same again gives the same. The document belongs to the dead letters."""


class LeaseLostError(HanmillError):
    """The attempt's token no longer holds: somebody else owns the shard now. Drop the result, write nothing."""


class BackPressureError(HanmillError):
    """Too many documents wait. Enqueue again later, or let `enqueue` wait."""
