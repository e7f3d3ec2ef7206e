"""The demo: the life of a use case, driven through Airflow's REST API like any client would."""
