"""The `pennant` command: one module per group, each with `register(app)`."""
