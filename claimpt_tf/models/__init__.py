"""Backbones, heads and presets; model code knows only tensors."""
