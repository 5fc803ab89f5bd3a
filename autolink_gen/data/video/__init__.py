"""Videos: read, written, checked, prepared."""
