"""Stations that speak OCPP 1.6J and 2.0.1, with the same hardware behind them as those that speak REST."""
