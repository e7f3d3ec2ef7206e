"""Pennant: predictive models in production on Apache Airflow, kept honest there.

The rooms, in the order data flows through them: declaration, data, features, training, gate,
release, watch. Beside them: registry, warehouse, security, simulation, cli and orchestration.
Only `pennant.orchestration` imports Airflow.
"""

__version__ = "0.1.0"
