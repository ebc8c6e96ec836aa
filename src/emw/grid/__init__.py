"""How things are said by the grid: one file or folder per protocol, each ending in the same request."""
