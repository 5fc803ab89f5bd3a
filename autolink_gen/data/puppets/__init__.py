"""The embedded puppets: drawn, and their joints known."""
