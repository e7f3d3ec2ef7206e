"""Alembic's environment for the warehouse."""
