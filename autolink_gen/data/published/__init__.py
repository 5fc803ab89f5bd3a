"""Published data sets: what they are, how they are read and prepared."""
