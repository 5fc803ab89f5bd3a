"""WebDataset shards: named, fetched, read, written."""
