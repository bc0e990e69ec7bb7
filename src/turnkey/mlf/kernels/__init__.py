"""Kernels of ours for what networks spend their time on: each template claims nodes before the generator is asked."""
