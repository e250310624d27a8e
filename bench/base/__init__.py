"""What every other room stands on: errors, registries, schemas, statistics and files."""
