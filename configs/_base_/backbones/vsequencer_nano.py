"""VSequencer-nano from random weights, for tests and the demo."""

backbone = dict(type='mmseq.VSequencer', arch='nano', init_cfg=None)
channels = [32, 64, 96, 128]
