"""How things are said to stations: one file or folder per protocol, each translating at its border and nowhere else."""
