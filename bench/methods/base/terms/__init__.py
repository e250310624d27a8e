"""What training minimises, as data: a table of terms, each made of a few typed choices."""
