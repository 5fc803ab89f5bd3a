"""The studio: a page in the browser to look at a graph, paint on it, move pictures by it, and name landmarks."""
