"""How things are said by the grid: one file per protocol, each ending in the same request."""
