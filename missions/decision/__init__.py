"""The decision engine: fault table, safety ladder, payload comparison."""
