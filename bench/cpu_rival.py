#!/usr/bin/env python3
"""The CPU bench's rival: Hugging Face's DeBERTa-v3 classifier on PyTorch, in f32.

Speaks the protocol of bench/README.md: warms up, then for each line on stdin does one repeat of its
case and prints {"ms": ..., "peak_mib": ...}. The weights and token ids are random; the work is that of
the xsmall geometry with the whole vocabulary. With --texts each repeat takes the next batch of a CSV's
texts: padded to --length, as the reference notebook does for training, or with --padding=longest to the longest of the batch. A
train step is zero_grad, forward with dropout, loss,
backward, clipping, AdamW with two parameter groups and the linear schedule.
"""

import argparse
import csv
import itertools
import json
import sys
import time

import torch
from torch import nn
from transformers import AutoTokenizer, DebertaV2Config, DebertaV2ForSequenceClassification

LABELS = 5
WARM_UP = 3


def model():
    return DebertaV2ForSequenceClassification(
        DebertaV2Config(
            vocab_size=128100,
            hidden_size=384,
            num_hidden_layers=12,
            num_attention_heads=6,
            intermediate_size=1536,
            max_position_embeddings=512,
            relative_attention=True,
            position_buckets=256,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            max_relative_positions=-1,
            type_vocab_size=0,
            layer_norm_eps=1e-7,
            pad_token_id=0,
            pooler_dropout=0.0,
            pooler_hidden_act="gelu",
            pooler_hidden_size=384,
            num_labels=LABELS,
            problem_type="multi_label_classification",
        )
    )


def random_batches(arguments):
    shape = (arguments.batch, arguments.length)
    batch = {"input_ids": torch.randint(3, 128000, shape), "attention_mask": torch.ones(shape, dtype=torch.long)}
    return itertools.repeat(batch)


def text_batches(arguments):
    with open(arguments.texts, newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    for start in itertools.count(step=arguments.batch):
        batch = [texts[(start + row) % len(texts)] for row in range(arguments.batch)]
        encoded = tokenizer(
            batch, truncation=True, max_length=arguments.length, padding=arguments.padding, return_tensors="pt"
        )
        yield {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}


def inference(model, batches):
    model.eval()

    def repeat():
        with torch.inference_mode():
            torch.sigmoid(model(**next(batches)).logits)

    return repeat


def train(model, batches, targets, total_steps):
    model.train()
    kept_from_decay = ("bias", "LayerNorm.bias", "LayerNorm.weight")
    named = list(model.named_parameters())
    decayed = [p for n, p in named if not any(part in n for part in kept_from_decay)]
    others = [p for n, p in named if any(part in n for part in kept_from_decay)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=1.5e-5
    )
    warm = int(total_steps * 0.1)

    def share(step):
        if step < warm:
            return step / max(1, warm)
        return max(0.0, (total_steps - step) / max(1, total_steps - warm))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    criterion = nn.BCEWithLogitsLoss()

    def repeat():
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(model(**next(batches)).logits, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss.item()

    return repeat


def peak_mib():
    """The largest resident set of this process; unlike ru_maxrss, not that of the one it was forked from."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def parser(description):
    """The flags of a rival's program."""
    flags = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--case", choices=["inference", "train"], required=True)
    flags.add_argument("--length", type=int, required=True, help="tokens in every text")
    flags.add_argument("--batch", type=int, required=True, help="texts")
    flags.add_argument("--threads", type=int, required=True)
    flags.add_argument("--repeats", type=int, required=True, help="repeats to expect, for the schedule")
    flags.add_argument("--texts", help="a CSV with a column `text`, instead of random tokens")
    flags.add_argument("--tokenizer", help="the folder of the texts' tokenizer")
    flags.add_argument("--padding", choices=["max_length", "longest"], default="max_length")
    return flags


def serve(repeat, **more):
    """Warms up, and then does one repeat for each line on stdin."""
    for _ in range(WARM_UP):
        repeat()
    for _ in sys.stdin:
        start = time.perf_counter()
        repeat()
        ms = (time.perf_counter() - start) * 1e3
        print(json.dumps({"ms": ms, "peak_mib": peak_mib(), **more}), flush=True)


def main():
    arguments = parser(__doc__).parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(42)
    batches = text_batches(arguments) if arguments.texts else random_batches(arguments)
    if arguments.case == "inference":
        repeat = inference(model(), batches)
    else:
        targets = (torch.rand(arguments.batch, LABELS) < 0.3).float()
        repeat = train(model(), batches, targets, WARM_UP + arguments.repeats)
    serve(repeat)


if __name__ == "__main__":
    main()
