"""Print the listing, to be read from top to bottom as a stranger would."""

from tests.messages.listing import texts

print(*texts(), sep="\n")
