# Generated from ../asynchronous/__init__.py by `make twins`: do not edit.
"""Repositories over one kind of session; what both kinds share is in `pgmodern.repositories`."""
