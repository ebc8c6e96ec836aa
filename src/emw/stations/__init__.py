"""How things are said to stations: one file per protocol, each translating at its border and nowhere else."""
