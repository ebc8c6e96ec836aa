"""What things are: units, records, facts and how a fact changes a record. Standard library only; no I/O, no clock."""
