"""ViL-nano from random weights, for tests and the demo."""

backbone = dict(type='mmseq.VisionLSTM', arch='nano', init_cfg=None)
channels = [64, 64, 64, 64]
