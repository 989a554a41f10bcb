"""What the archive does with MongoDB as its record store, next to a bare client that inserts the same documents."""
