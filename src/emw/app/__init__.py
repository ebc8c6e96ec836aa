"""Configuration and wiring: the one place where real parts meet ports, and the only one that reads clocks and dice."""
