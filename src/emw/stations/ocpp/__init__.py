"""emw as central system for real stations: OCPP 1.6J, 2.0.1 and 2.1 (docs/reference/ocpp)."""
