"""The stored forms of compressed layers: what is saved is what runs."""
