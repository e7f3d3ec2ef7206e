"""The engine that asks providers: politely, again where that helps, and someone else where it does not."""
