"""Initial weights that families share."""

from torch import nn


def init_sequencer(model: nn.Module) -> None:
    """The initialisation of the Sequencer paper's code, for Sequencer2D and VSequencer (arXiv 2205.01972).

    Linear maps xavier-uniform with bias 0 (in the MLP normal with deviation 1e-6), convolutions lecun-normal,
    recurrent weights uniform within 1 / sqrt(hidden), which is torch's own. Norms and position embeddings are left as
    their constructors made them.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.normal_(module.bias, std=1e-6 if 'mlp' in name else 0.0)
        elif isinstance(module, nn.Conv2d):
            # lecun-normal: variance 1 / fan_in, truncated at two standard deviations (which shrinks it: 0.8796).
            std = module.weight[0].numel() ** -0.5 / 0.87962566103423978
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.RNNBase):
            module.reset_parameters()
