"""The settings of the operator's plane, each with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How the operator's plane meets people.

    Times are real seconds (those of the event loop), not the clock's: a demonstration may run its clock sixty times
    as fast, and nobody should be logged out after half a minute of it.
    """

    local: bool = False
    """Served on a socket that only this machine's owner can open: every caller is its administrator."""
    secure: bool = False
    """Reached over https: the session cookie never travels in clear."""
    public_url: str | None = None
    """Where people reach it, as the sign-on provider was told; None: as the browser says."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which the console is reached. Loopback names and plain addresses always are: a foreign page
    can make a browser call us under its own name only (DNS rebinding)."""
    session_s: float = 8 * 3600.0
    idle_s: float = 30 * 60.0
    setup_s: float = 30 * 60.0
    """How long the first start's link works."""
    open_metrics: bool = False
    """Whether `/metrics` is told without a credential; it carries sums only."""
    tick_s: float = 1.0
    """How often the live feed looks; it slows down by itself where looking costs too much."""
    viewers: int = 200
    """So many live pages at once."""
    map_file: str | None = None
    """The operator's own outlines and places, GeoJSON; read at the start."""
    map_tiles: str | None = None
    """A tile server's address with {z}, {x} and {y}; None: a blank ground, and no page asks anybody else."""
