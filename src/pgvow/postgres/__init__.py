"""The server and its tools: the only package that speaks to PostgreSQL."""
