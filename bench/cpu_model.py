#!/usr/bin/env python3
"""The model of the CPU bench's inference as all sides get it: random weights of the xsmall geometry, and what PyTorch says of some texts.

Writes into FOLDER: model.safetensors, f32.onnx (exported from PyTorch), int8.onnx (onnxruntime's dynamic quantization of
it: weights in int8 with a scale for each channel, activations in eight bits), and probe.json with ids and logits.
"""

import json
import os
import sys

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import save_file

from cpu_rival import model

PROBES = 8
LENGTH = 48


class Logits(torch.nn.Module):
    """The model as a function of two tensors."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, input_ids, attention_mask):
        return self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits


def spread(classifier):
    """Makes attention and logits depend on the text, which fresh weights hardly do."""
    with torch.no_grad():
        for name, tensor in classifier.named_parameters():
            if "query_proj.weight" in name or "key_proj.weight" in name:
                tensor.mul_(3.0)
            elif name.endswith("_embeddings.weight"):
                tensor.mul_(5.0)
            elif name == "classifier.weight":
                tensor.mul_(10.0)


def main():
    folder = sys.argv[1]
    torch.manual_seed(42)
    classifier = model().eval()
    spread(classifier)
    ids = torch.randint(3, 128000, (PROBES, LENGTH))
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        logits = classifier(input_ids=ids, attention_mask=mask).logits
    os.makedirs(folder, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
    save_file(weights, os.path.join(folder, "model.safetensors"))
    exact = os.path.join(folder, "f32.onnx")
    axes = {0: "batch", 1: "sequence"}
    # A mask with a padded text, so that the export keeps what reads it.
    example = mask.clone()
    example[1, -3:] = 0
    torch.onnx.export(
        Logits(classifier).eval(),
        (ids, example),
        exact,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    quantize_dynamic(exact, os.path.join(folder, "int8.onnx"), weight_type=QuantType.QInt8, per_channel=True)
    # Last: the folder is whole.
    with open(os.path.join(folder, "probe.json"), "w", encoding="utf-8") as file:
        json.dump({"ids": ids.tolist(), "logits": logits.tolist()}, file)


if __name__ == "__main__":
    main()
