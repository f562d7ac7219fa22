"""Error against size, breadth and shots."""
