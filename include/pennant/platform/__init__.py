"""The processes of one machine: PostgreSQL, Airflow, MLflow and the serving app."""
