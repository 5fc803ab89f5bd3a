"""The studio: a page in the browser to look at a graph and to paint on it by dragging points."""
