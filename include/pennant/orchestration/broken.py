"""What a declaration that does not load looks like in Airflow: one Dag that says why."""

import re
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG

from pennant.declaration.problems import DeclarationError
from pennant.orchestration.steps import step

# Any fixed moment will do; a moving one would make a new version of the Dag at every parse.
START = datetime(2020, 1, 1, tzinfo=UTC)


def build(name: str, error: DeclarationError) -> DAG:
    """Build `<name>__broken`. It hides no other Dag, and its only task fails with the error itself."""
    text = str(error)
    with DAG(
        dag_id=f"{re.sub(r'[^a-zA-Z0-9_.-]', '_', name)}__broken",
        schedule=None,
        start_date=START,
        tags=["broken", "pennant"],
        description=f"The declaration of {name} does not load.",
        doc_md=f"## The declaration of {name} does not load\n\n```\n{text}\n```\n\n"
        "Mend the file; the Dags of the use case appear with the next parse.",
    ) as dag:

        @step(retries=0)
        def declaration_error() -> Any:
            raise error

        declaration_error()
    return dag
