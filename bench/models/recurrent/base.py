"""What the recurrent models have in common: their fresh weights, and the lengths of padded rows."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from bench.models.recurrent.layer import LstmLayer


class RecurrentModel(PreTrainedModel):  # type: ignore[misc]
    """Fresh gates are uniform in ±1/sqrt(width), as torch's, with forget biases of 1 (Jozefowicz et al. 2015, §2.2).

    Other matrices and embeddings are normal with `config.initializer_range`.
    """

    base_model_prefix = "model"

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LstmLayer):
            bound = module.width**-0.5
            for gates in (module.input_gates, module.hidden_gates):
                init.uniform_(gates.weight, -bound, bound)
            bias = module.input_gates.bias
            if not getattr(bias, "_is_hf_initialized", False):  # a part of a tensor does not say that it was loaded
                init.zeros_(bias)
                init.ones_(bias[module.width : 2 * module.width])

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        """As for transformers' own models: for others it passes over modules whose parameters are all inside others."""
        super()._initialize_weights(module)


def lengths_of(attention_mask: Tensor | None) -> Tensor | None:
    """Real tokens of each row, [batch]; padding must be on the right. None where there is no mask."""
    return None if attention_mask is None else attention_mask.long().sum(dim=1)
