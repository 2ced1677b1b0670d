"""Rollout engines: one file per engine, one interface."""
