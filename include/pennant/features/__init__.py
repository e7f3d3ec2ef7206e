"""Point-in-time features: views on two clocks, snapshots named by their content, the online store."""
