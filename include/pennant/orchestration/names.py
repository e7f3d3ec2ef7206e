"""Names of Dags and assets, in one place, so that producers and consumers cannot drift apart."""

from airflow.sdk import Asset


def dag_id(use_case: str, part: str) -> str:
    return f"{use_case}__{part}"


def validated(use_case: str) -> Asset:
    """Emitted when validated batches were added; it wakes, the store says what is new."""
    return Asset(f"{use_case}__validated", uri=f"pennant://{use_case}/validated", group="pennant")


def retrain_requested(use_case: str) -> Asset:
    """Emitted when a retrain request is pending in `healing_actions`."""
    return Asset(
        f"{use_case}__retrain_requested", uri=f"pennant://{use_case}/retrain_requested", group="pennant"
    )


def release_requested(use_case: str) -> Asset:
    """Emitted when a release is pending in `deployments`."""
    return Asset(
        f"{use_case}__release_requested", uri=f"pennant://{use_case}/release_requested", group="pennant"
    )
