"""What is quantized when: weights alone, or activations as well."""
