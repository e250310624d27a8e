"""Terms of the objective that drive units towards zero."""
