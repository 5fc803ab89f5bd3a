"""Several runs that answer one question: ablations, seeds, shared jobs."""
