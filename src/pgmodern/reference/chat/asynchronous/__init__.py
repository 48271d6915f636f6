"""What is asked over one kind of session; what both kinds share is in the package above."""
