"""What is run to work on pgmodern, and is no part of it."""
