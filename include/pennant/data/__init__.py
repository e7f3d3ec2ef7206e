"""Sources to validated batches on two clocks: the lake, ingestion, validation and quarantine."""
