#!/usr/bin/env python3
"""Runs the GPU bench's rival and adds two figures that it does not print.

    gpu_rival.py HF_TRAIN.py [its arguments]

The rival is a script of its own, run here as it is. Some of its untimed warm-up steps are recorded by PyTorch's
profiler: the calls that launch a kernel, a step, are `launches`. `rss_mib` is the process's largest resident set. Prints
the rival's JSON object with these added, on the last line.
"""

import contextlib
import io
import json
import resource
import runpy
import sys

import torch

# Which steps are recorded, counted from 1: the first ones load kernels, and the timed ones begin at 21.
BEGIN, END = 12, 16
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchCooperativeKernel")


class Counter:
    """Notices steps by the learning rate's schedule, which every training steps once."""

    def __init__(self):
        self.steps, self.launches, self.profiler = 0, None, None
        self.schedule = torch.optim.lr_scheduler.LambdaLR
        self.original = self.schedule.step
        counter = self

        def step(schedule, *arguments):
            counter.original(schedule, *arguments)
            counter.step()

        self.schedule.step = step

    def step(self):
        # The schedule's own constructor takes a step, so that the number of training steps done is one less.
        self.steps += 1
        if self.steps - 1 == BEGIN:
            self.profiler = torch.profiler.profile(activities=torch.profiler.supported_activities())
            self.profiler.start()
        elif self.steps - 1 == END:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.profiler.stop()
            calls = sum(
                event.count for event in self.profiler.key_averages() if event.key.startswith(LAUNCHES)
            )
            self.launches = calls / (END - BEGIN) or None


def main():
    script, sys.argv = sys.argv[1], sys.argv[1:]
    counter = Counter()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(script, run_name="__main__")
    lines = printed.getvalue().splitlines()
    print("\n".join(lines[:-1]))
    answer = json.loads(lines[-1])
    answer["launches"] = counter.launches
    answer["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
