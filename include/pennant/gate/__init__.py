"""The gate: challenger, champion, baselines and the same fresh rows in; promote, hold or refuse out."""
