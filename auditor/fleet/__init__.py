"""The same audit on many machines: accounts in parts, carried by Dask to workers that run the very same collectors and evaluator.

`run` is what the command line calls. Knows how work is shared out and brought back; knows no exchange, no rule and no format.
"""
