"""What this machine can measure, and how well."""
