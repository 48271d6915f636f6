"""Repositories over one kind of session; what both kinds share is in `pgmodern.repositories`."""
