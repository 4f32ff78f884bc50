#!/usr/bin/env python3
"""The browser bench's model as both sides get it: random weights of the base geometry and what PyTorch says of some texts.

Takes the rival's folder (its `make_models.py` defines the model, and its ONNX files are exported from the same) and writes into
`ours/` there: config.json, model.safetensors, tokenizer.json, and texts.json: for each length a text of just so many
tokens, their ids, and the logits.
"""

import itertools
import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

LENGTHS = [16, 32, 64, 128]
LABELS = ["anger", "fear", "joy", "sadness", "surprise"]
WORDS = "the return value of this function can be used to open a file and read one line more than it should have".split()


def text_of(length, tokenizer):
    """Words, and at the end the letters that make it exact."""
    words = []
    for word in itertools.cycle(WORDS):
        if len(tokenizer.encode(" ".join([*words, word])).ids) > length:
            break
        words.append(word)
    for last in itertools.chain([""], *(itertools.product("aeiouxyz.", repeat=n) for n in range(1, 5))):
        text = " ".join([*words, "".join(last)]).strip()
        if len(tokenizer.encode(text).ids) == length:
            return text
    raise SystemExit(f"no text of {length} tokens")


def main():
    rival = os.path.abspath(sys.argv[1])
    sys.path.insert(0, rival)
    import make_models

    folder = os.path.join(rival, "ours")
    os.makedirs(folder, exist_ok=True)
    tokenizer_file = os.path.join(rival, "tjsmodels/base/tokenizer.json")
    tokenizer = Tokenizer.from_file(tokenizer_file)
    model = make_models.build("base")
    texts = {}
    for length in LENGTHS:
        text = text_of(length, tokenizer)
        ids = tokenizer.encode(text).ids
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, length, dtype=torch.long)).logits
        texts[length] = {"text": text, "ids": ids, "logits": logits[0].tolist()}
    model.config.id2label = dict(enumerate(LABELS))
    model.config.label2id = {label: place for place, label in enumerate(LABELS)}
    model.config.save_pretrained(folder)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, os.path.join(folder, "model.safetensors"))
    shutil.copy(tokenizer_file, folder)
    with open(os.path.join(folder, "texts.json"), "w", encoding="utf-8") as file:
        json.dump(texts, file)


if __name__ == "__main__":
    main()
