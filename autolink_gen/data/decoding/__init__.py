"""Image files, decoded within bounds of memory and time."""
