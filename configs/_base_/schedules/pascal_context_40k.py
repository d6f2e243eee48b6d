"""Pascal Context, 40k iterations of 8 x 2 images: mmsegmentation's, with the optimizer of ade20k_160k.py."""

_base_ = 'voc12_40k.py'
