"""Programs that answer open questions: encoders with the texts, vectors and answers that they look things up in."""
