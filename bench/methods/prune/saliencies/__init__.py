"""How units are scored; each saliency is one file and one registration."""
