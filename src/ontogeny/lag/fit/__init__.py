"""Curves fitted over log step: when each rises, and how sure that is."""
