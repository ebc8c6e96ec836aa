"""When things happen: asyncio, ports, no protocol, no SQL, no threads, no clock or dice but those it is given."""
