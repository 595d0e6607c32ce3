"""Every text that a user can see, in one listing: `python -m tests.messages`."""
