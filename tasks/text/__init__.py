"""Text and tokens: engines, dictionaries, filters. Pure: knows no queue, no database and no environment."""
