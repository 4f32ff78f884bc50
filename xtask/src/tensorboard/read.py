"""Reads a run's event files by TensorBoard's own reader and compares them with its logs.

Called with the run's folder. Each fold has to have each point of its metrics.jsonl once, and the settings as hyperparameters.
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

TAGS = {
    "train/loss": "loss",
    "train/learning_rate": "lr",
    "train/gradient_norm": "grad_norm",
    "validation/loss": "validation_loss",
    "validation/macro_f1": "validation_macro_f1",
}

def check_fold(run, folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    lines = (run / folder.name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for tag, field in TAGS.items():
        expected = [(record["step"], record[field]) for record in records if record.get(field) is not None]
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert expected, f"metrics.jsonl has no {field}"
        assert len(found) == len(expected), f"{folder.name}, {tag}: {len(found)} points, not {len(expected)}"
        for (step, value), (found_step, found_value) in zip(expected, found):
            assert step == found_step, f"{folder.name}, {tag}: step {found_step} in the place of {step}"
            close = abs(found_value - value) <= 1e-6 * max(abs(value), 1e-3)
            assert close, f"{folder.name}, {tag}, step {step}: {found_value}, not {value}"
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    settings = metadata.parse_session_start_info_plugin_data(content).hparams
    assert settings["model"].string_value == "mini", settings
    assert settings["batch-size"].number_value == 8, settings
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 1, "the training has not ended"
    return len(records)

def main():
    run = pathlib.Path(sys.argv[1])
    folders = sorted((run / "tensorboard").iterdir())
    assert [folder.name for folder in folders] == ["fold-0", "fold-1"], folders
    files = [len(list(folder.iterdir())) for folder in folders]
    assert max(files) > 1, "no training was interrupted"
    for folder in folders:
        print(f"tensorboard: {folder.name}: {check_fold(run, folder)} records, as in metrics.jsonl")

if __name__ == "__main__":
    main()
