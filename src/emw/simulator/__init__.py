"""The other side of every wire: a station (also the agent in a real one), a fleet of them, a grid operator.

Nothing here is known to the server: the simulator speaks only the protocols that the outside sees, so it is a
judge of the server and not its accomplice.
"""
