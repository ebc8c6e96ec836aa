"""OpenADR 3.1 and 3.0.1: words of the wire, arithmetic of intervals, the client (VEN) and what it makes of events."""
