"""Room one: what a team writes down about a use case, read strictly."""
