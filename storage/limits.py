"""How large things may be unless a setting or the user says otherwise. Imports nothing, for settings come first."""

from __future__ import annotations

#: Largest shard, in bytes, unless a setting or the user names another size.
LARGEST_SHARD_BYTES = 4 * 1024 * 1024
#: Records longer than this, in bytes as they stand in the source, become dead letters.
DEFAULT_MAX_RECORD_BYTES = 16 * 1024 * 1024
