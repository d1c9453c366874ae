"""The programs that are measured.

One module for each environment: none imports the library of another.
"""
