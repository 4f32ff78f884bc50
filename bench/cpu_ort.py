#!/usr/bin/env python3
"""The CPU bench's second rival of inference: onnxruntime, in f32 or with its dynamic int8, on the files that cpu_model.py made.

Speaks the protocol of bench/README.md, with --model=FOLDER and --encoding=f32|int8 besides. A line has `logit_error` as well: the
largest difference of a logit from PyTorch's.
"""

import json
import os

import numpy as np
import onnxruntime

from cpu_rival import parser, random_batches, serve, text_batches


def main():
    flags = parser(__doc__)
    flags.add_argument("--model", required=True, help="the folder that cpu_model.py made")
    flags.add_argument("--encoding", choices=["f32", "int8"], required=True)
    arguments = flags.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    file = os.path.join(arguments.model, f"{arguments.encoding}.onnx")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def logits(batch):
        return session.run(None, {name: np.asarray(tensor, dtype=np.int64) for name, tensor in batch.items()})[0]

    with open(os.path.join(arguments.model, "probe.json"), encoding="utf-8") as probe:
        probe = json.load(probe)
    found = logits({"input_ids": probe["ids"], "attention_mask": np.ones_like(probe["ids"])})
    error = float(np.abs(found - np.array(probe["logits"])).max())

    batches = text_batches(arguments) if arguments.texts else random_batches(arguments)

    def repeat():
        batch = next(batches)
        return 1 / (1 + np.exp(-logits({name: tensor.numpy() for name, tensor in batch.items()})))

    serve(repeat, logit_error=error)


if __name__ == "__main__":
    main()
