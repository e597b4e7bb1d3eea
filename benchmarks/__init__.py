"""What the performance claims are measured with: `python -m benchmarks`. Ratios against a floor of the same run, not seconds."""
