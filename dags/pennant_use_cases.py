"""Every Airflow Dag of Pennant, generated from the declarations under `include/use_cases`."""

from pennant.orchestration.factory import build_all

globals().update(build_all())
