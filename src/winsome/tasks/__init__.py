"""Tasks that need each other, and who runs them: this process, a pool, a Ray cluster. Knows no study."""
