"""From records to pictures and pages."""
