"""How people are vouched for by others: OpenID Connect."""
