"""The papers' figures and tables by name: what is run, what is read from it, what showed."""
