"""The kinds of sources that `--data` may name."""
