"""The operation keywords."""
