"""Compression methods: small typed mechanisms that recipes compose."""
