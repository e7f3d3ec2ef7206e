"""The seventh room: what is served is compared with what came true, and somebody is told."""
