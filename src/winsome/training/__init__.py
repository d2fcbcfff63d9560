"""Training as the papers do it: one visible loop, its settings, and how networks are evaluated."""
