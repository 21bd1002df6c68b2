"""Who may ask: clients, their secrets, and the tokens that they get for them."""
