"""Benchmark suite for neural physics surrogates."""
