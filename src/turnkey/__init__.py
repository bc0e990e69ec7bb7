"""Turnkey: from a PyTorch script or ONNX file to verified, measured, deployable models."""

from turnkey.version import __version__

__all__ = ["__version__"]
