"""Task performance and its intervals."""
