"""ShiftViT-nano from random weights, for tests and the demo."""

backbone = dict(type='mmseq.ShiftViT', arch='nano', init_cfg=None)
channels = [24, 48, 96, 192]
