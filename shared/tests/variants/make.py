"""Makes configs.json and reference.safetensors: logits and gradients of HF's DebertaV2ForSequenceClassification
in each shape a config can give it. `python make.py` here, with torch, transformers and safetensors; see README.md."""

import json

import torch
from safetensors.torch import save_file
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

LABELS = 3
V3 = dict(
    model_type="deberta-v2", vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=8, hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    pooler_dropout=0, pooler_hidden_act="gelu", pooler_hidden_size=16, max_position_embeddings=48, type_vocab_size=0,
    layer_norm_eps=1e-7, pad_token_id=0, position_biased_input=False, relative_attention=True, pos_att_type="p2c|c2p",
    share_att_key=True, position_buckets=4, max_relative_positions=-1, norm_rel_ebd="layer_norm", num_labels=LABELS,
)  # fmt: skip
VARIANTS = {
    "v3": {},
    "own_position_projections": dict(share_att_key=False),
    "c2p_alone": dict(pos_att_type="c2p"),
    "p2c_alone_own_projection": dict(pos_att_type="p2c", share_att_key=False),
    "absolute_positions_alone": dict(position_biased_input=True, relative_attention=False),
    "narrow_embeddings_token_types": dict(embedding_size=12, position_biased_input=True, type_vocab_size=2),
    "raw_relative_embeddings_clamped": dict(norm_rel_ebd="none", position_buckets=-1, max_relative_positions=20),
    "odd_buckets_no_padding_id": dict(
        position_buckets=7, max_relative_positions=24, pad_token_id=None, layer_norm_eps=1e-3
    ),
    "one_layer_long_text": dict(
        num_hidden_layers=1, hidden_size=8, pooler_hidden_size=8, position_buckets=256, max_position_embeddings=512
    ),
}


def texts(lengths, generator):
    """Right-padded ids and their mask. The second text holds a real token with the padding's id."""
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(1, 40, (length,), generator=generator)
        mask[row, :length] = 1
    ids[1, 1] = 0
    return ids, mask


def random_weights(model, generator):
    for name, parameter in sorted(model.named_parameters()):
        values = torch.randn(parameter.shape, generator=generator)
        scale = 0.1 if parameter.dim() == 1 else 0.3
        yield name, values * scale + (1.0 if name.endswith("LayerNorm.weight") else 0.0)


def main():
    generator = torch.Generator().manual_seed(3)
    configs, tensors, common = {}, {}, {}
    labels = torch.randint(0, 2, (4, LABELS), generator=generator).float()
    tensors["labels"] = labels
    usual = texts([33, 5, 1, 18], generator)
    long = texts([300, 140, 20, 2], generator)
    for variant, changes in VARIANTS.items():
        configs[variant] = V3 | changes
        fields = {name: value for name, value in configs[variant].items() if name != "model_type"}
        model = DebertaV2ForSequenceClassification(DebertaV2Config(**fields, problem_type="multi_label_classification"))
        weights = dict(random_weights(model, generator))
        for name, values in weights.items():
            # Most tensors are the same in all variants, to keep the file small.
            kept = common.setdefault(name, values)
            if kept.shape == values.shape:
                weights[name] = kept
            else:
                tensors[f"{variant}/weights/{name}"] = values
        model.load_state_dict(weights)
        # In f64, so that no rounding but ours is measured.
        model.double()
        input_ids, mask = long if "long" in variant else usual
        output = model(input_ids=input_ids, attention_mask=mask, labels=labels.double())
        output.loss.backward()
        tensors[f"{variant}/input_ids"] = input_ids.to(torch.uint8)
        tensors[f"{variant}/attention_mask"] = mask.to(torch.uint8)
        tensors[f"{variant}/logits"] = output.logits.float()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                tensors[f"{variant}/gradients/{name}"] = parameter.grad.float()
    tensors |= {f"weights/{name}": values for name, values in common.items()}
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, "reference.safetensors")
    with open("configs.json", "w") as file:
        lines = [f'"{variant}": {json.dumps(config)}' for variant, config in configs.items()]
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


main()
