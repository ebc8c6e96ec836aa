"""The whole of emw under one seed: server, stations, grid operators, network and disk on a virtual clock.

`emw-sim SEED` replays a run to the letter; what a run must keep at every instant stands in `checks`.
"""
