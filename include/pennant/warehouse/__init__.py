"""The warehouse: PostgreSQL tables of predictions, outcomes and everything that is judged by them."""
