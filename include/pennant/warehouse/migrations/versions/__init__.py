"""One file per change of the warehouse schema; a released one is never edited."""
