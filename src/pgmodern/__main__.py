"""`python -m pgmodern` is the command `pgmodern`."""

from pgmodern.cli import main

if __name__ == "__main__":
    main()
