"""VSequencer(H), of two resolutions, from random weights: the authors released none (arXiv 2205.01972)."""

backbone = dict(type='mmseq.VSequencer', arch='h', drop_path_rate=0.1, init_cfg=None)
channels = [192, 384, 384, 384]
