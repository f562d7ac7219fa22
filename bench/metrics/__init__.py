"""The metrics, one file each: VERSION, UNIT, BETTER, DOMAINS and `curve`. A new file here is a new metric.

`curve(truth, predicted, domain) -> (T, B)` float64: a value per frame and scene, reduced elsewhere (bench/reduce.py). NaN
means "not defined here"; a diverged frame costs the metric's cap. Both films hold the same new frames of the same scenes.
`JUDGES` may say "reconstruction": then `predicted` is what a model that can `reconstruct` makes of the true frames.
"""
