"""Notarise medical records on Bitcoin."""

__version__ = "0.1.0"
