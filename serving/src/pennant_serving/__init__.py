"""Serves Pennant model bundles: verified before they answer, every answer logged exactly once."""
