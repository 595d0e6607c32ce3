"""The state folder and its database."""
