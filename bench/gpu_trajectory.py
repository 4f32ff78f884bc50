#!/usr/bin/env python3
"""What PyTorch's losses are on the first steps of a training, for `cargo xtask gpu-check` to compare ours with.

Takes --steps batches of the file's first rows in order, in f32 and without dropout, from the weights in --model, with
the reference job's optimizer and schedule. Prints {"losses": [...]} on the last line.
"""

import argparse
import csv
import json

import torch
from torch import nn
from transformers import AutoTokenizer, DebertaV2ForSequenceClassification

LABELS = ["anger", "fear", "joy", "sadness", "surprise"]
NO_DECAY = ("bias", "LayerNorm.bias", "LayerNorm.weight")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--train-csv", required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-len", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1.5e-5)
    arguments = parser.parse_args()

    # f32 is to mean f32: tensor cores would round the factors of products to 10 bits.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = DebertaV2ForSequenceClassification.from_pretrained(arguments.model).float().to(device).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    with open(arguments.train_csv, newline="", encoding="utf-8") as file:
        rows = [(row["text"], [float(row[label]) for label in LABELS]) for row in csv.DictReader(file)]

    decayed = [p for name, p in model.named_parameters() if not any(part in name for part in NO_DECAY)]
    others = [p for name, p in model.named_parameters() if any(part in name for part in NO_DECAY)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=arguments.lr
    )
    warm_up = int(0.1 * arguments.steps)

    def factor(step):
        if step < warm_up:
            return step / warm_up
        return max(0.0, (arguments.steps - step) / max(1, arguments.steps - warm_up))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    losses = []
    for step in range(arguments.steps):
        batch = rows[step * arguments.batch_size :][: arguments.batch_size]
        texts = tokenizer(
            [text for text, _ in batch],
            truncation=True,
            max_length=arguments.max_len,
            padding=True,
            return_tensors="pt",
        ).to(device)
        targets = torch.tensor([labels for _, labels in batch], device=device)
        optimizer.zero_grad(set_to_none=True)
        logits = model(input_ids=texts["input_ids"], attention_mask=texts["attention_mask"]).logits
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(json.dumps({"device": device, "losses": losses}))


if __name__ == "__main__":
    main()
