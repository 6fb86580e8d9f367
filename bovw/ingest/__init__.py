"""Joins the stages for a collection."""
