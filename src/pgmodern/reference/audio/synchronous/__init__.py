# Generated from ../asynchronous/__init__.py by `make twins`: do not edit.
"""What is asked over one kind of session; what both kinds share is in the package above."""
