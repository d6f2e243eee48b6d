"""UperNet, ViL-T (version 2), ADE20K at 512 px, 160k iterations, as the authors trained it.

Recipe: github.com/NX-AI/vision-lstm, src/vislstm/yamls/segmentation (AdamW 5e-4, weight decay 0.05, cosine to 1e-6,
warm-up 1500, layer decay 0.65 with pairs as layers, 16 images; taps without norm, deconvolution pyramid, head width
192, 384 and 384 for T, S and B, no dropout in the heads, losses averaged over labelled pixels, colour jitter;
evaluated on images squashed to 512 x 512, multi-scale at 0.75 to 1.75). It differs from theirs in three points: small
images are padded at the lower right, where theirs are centred; the heads begin as mmsegmentation's do, theirs with
normal weights of deviation 0.02; theirs ran in fp16 on one GPU: their code refuses more, "much worse results when
training on 8 GPUs", cause unknown to them.
Command: mmseq train configs/upernet_vil_t_ade20k_authors.py
Expected: mIoU single-scale / multi-scale of 41.2 / 43.1 for T, 46.3 / 47.9 for S, 48.6 / 49.6 for B, reported by the
authors (arXiv 2406.04303); we have not run it.
"""

_base_ = [
    '_base_/models/upernet_vil.py',
    '_base_/backbones/vil_t.py',
    '_base_/datasets/ade20k_jitter.py',
    '_base_/schedules/ade20k_160k_layer_decay.py',
    '_base_/runtime/mmseg.py',
]
train_dataloader = dict(batch_size=16)
model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.channels[2]),
    auxiliary_head=dict(in_channels=_base_.channels[2], channels=192),
    decode_head=dict(in_channels=_base_.pop('channels'), channels=192),
)
