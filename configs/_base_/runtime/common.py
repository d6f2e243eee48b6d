"""What every run of mmseq has: reproducible streams, strict checkpoints and results that are saved.

`mmseq train` and `mmseq test` put these hooks into any config; here they serve upstream's own tools.
"""

# Lets upstream's own tools and inferencers open a config of ours.
custom_imports = dict(imports=['mmseq.registry'], allow_failed_imports=False)
# The same seed on resume gives the same order of the data; another one is --seed N.
randomness = dict(seed=0)
custom_hooks = [
    dict(type='mmseq.StrictLoadHook'),
    dict(type='mmseq.RunRecordHook'),
    dict(type='mmseq.SharedAnnotationsHook'),
    dict(type='mmseq.TrialHook'),
    dict(type='mmseq.RandomStreamsHook'),
    dict(type='mmseq.UnusedParametersHook'),
    # Three iterations in a row with a loss or gradient that is not finite end the run.
    dict(type='mmseq.BadNumbersHook'),
    # More than 10 corrupt samples and 1 % of those loaded end the run.
    dict(type='mmseq.CorruptDataHook'),
    dict(type='mmseq.LoaderShareHook'),
    dict(type='mmseq.EvalArtifactsHook'),
    dict(type='mmseq.CurvesHook'),
    dict(type='mmseq.PreemptionHook'),
]
