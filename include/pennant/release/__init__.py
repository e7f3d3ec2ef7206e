"""Release: from a registered version to a served one, canary by canary, and back."""
