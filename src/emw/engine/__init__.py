"""What to do: pure functions. Numpy is welcome; I/O, clocks and dice are not."""
