"""Figures on real data, each beside its baseline of the same run."""
