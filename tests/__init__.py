"""The checks of emw, in folders by what they need."""
