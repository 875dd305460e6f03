"""Whole programs, each started in a fresh process: what a user would save in a file and run."""
