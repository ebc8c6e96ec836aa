"""The operator's side: JSON API, login, the live console and metrics. Reads the service, changes through its doors."""
