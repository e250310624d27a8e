"""What a user brings to be scored: each kind of system is opened, checked and filed in the store as data."""
