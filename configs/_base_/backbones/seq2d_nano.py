"""Sequencer2D-nano from random weights, for tests and the demo."""

backbone = dict(type='mmseq.Sequencer2D', arch='nano', drop_path_rate=0.0, init_cfg=None)
channels = [32, 64, 96, 128]
