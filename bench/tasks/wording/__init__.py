"""Words of a text: where they stand, their parts of speech, and texts with other words in their places."""
