"""From a snapshot to a model bundle: search, members, weights, calibration, interval."""
