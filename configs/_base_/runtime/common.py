"""What every run of mmseq has: reproducible streams, strict checkpoints and results that are saved."""

# Lets upstream's own tools and inferencers open a config of ours.
custom_imports = dict(imports=['mmseq.registry'], allow_failed_imports=False)
# The same seed on resume gives the same order of the data; another one is --seed N.
randomness = dict(seed=0)
custom_hooks = [
    dict(type='mmseq.StrictLoadHook'),
    dict(type='mmseq.RandomStreamsHook'),
    dict(type='mmseq.UnusedParametersHook'),
    dict(type='mmseq.EvalArtifactsHook'),
    dict(type='mmseq.CurvesHook'),
    dict(type='mmseq.PreemptionHook'),
]
