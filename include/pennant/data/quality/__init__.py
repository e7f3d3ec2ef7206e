"""What a landed batch is judged by: rules, the provider's columns, and the batches before it."""
