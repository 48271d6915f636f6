"""How COPY sends a value of each type, by driver."""
