"""What each stage claimed to save beside what it really did."""
