"""Understanding: reads tickets and runs, never trains."""
