"""OpenADR 2.0b: emw as a VEN that pulls (extra `emw[oadr20b]`: lxml and signxml)."""
