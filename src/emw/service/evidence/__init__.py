"""What was shed, proved from stored rows: a request by each method, and a month as it is settled."""
