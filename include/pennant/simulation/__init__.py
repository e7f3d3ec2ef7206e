"""Simulated providers with planted truth, so that what Pennant reports can be checked against it."""
