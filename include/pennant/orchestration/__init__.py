"""The Dags: one module per Dag, the only room of the library that imports Airflow."""
