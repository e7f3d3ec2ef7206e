"""The registry: MLflow model versions, their aliases with one writer, and the ledger of every move."""
