"""Programs that answer open questions: encoders with the texts, the vectors and the answers that they look things up in."""
