"""The processes of one machine: PostgreSQL, Airflow, MLflow and the serving app, started and stopped by us."""
