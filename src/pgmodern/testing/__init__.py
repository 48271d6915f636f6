"""What the pytest plugin is made of: the server that tests run on, and databases on it."""

DEFAULT_IMAGE = "pgvector/pgvector:pg17"
