//! The examples at the end of each command's help.

pub const EXAMPLES: &str = "\
Examples:
  native-train train --model mini --train-csv train.csv --test-csv test.csv --output runs/first
  native-train predict --run runs/first --input new.csv --output labelled.csv
  native-train train --help";

pub const TRAIN_EXAMPLES: &str = "\
Examples:
  A first try, a few minutes on a CPU:
    native-train train --model mini --train-csv train.csv --output runs/mini
  DeBERTa-v3-base, and predictions for a test file:
    native-train train --train-csv train.csv --test-csv test.csv --output runs/base
  The plan and the memory that it takes, without training:
    native-train train --train-csv train.csv --output runs/base --dry-run
  Continue after an interruption:
    native-train train --output runs/base --resume
  The same settings with another seed:
    native-train train --config runs/base/config.toml --seed 7 --output runs/base-7";

pub const GATHER_EXAMPLES: &str = "\
Examples:
  Two processes that train a fold each, and the results:
    native-train train --train-csv train.csv --folds 2 --output runs/shared --only-fold 0 &
    native-train train --train-csv train.csv --folds 2 --output runs/shared --only-fold 1 & wait
    native-train gather --run runs/shared";

pub const CLUSTER_EXAMPLES: &str = "\
Examples:
  Five folds on a Slurm cluster, two at once:
    native-train cluster slurm --set at-once=2 --train-csv train.csv --output runs/base > job.sh
    bash job.sh
  Three seeds on Kubernetes:
    native-train cluster kubernetes --set claim=data --set seeds=1,2,3 \\
        --train-csv train.csv --output runs/base > job.sh
  A large file, labelled by 32 tasks without a GPU:
    native-train cluster slurm --set parts=32 --set gpus=0 \\
        predict --run runs/base --input new.csv --output labelled.csv > job.sh";

pub const DISTIL_EXAMPLES: &str = "\
Examples:
  A small model that learns from five large ones, and its scores beside theirs:
    native-train distil --run runs/base --model mini --texts more.csv --output runs/small
  The same model without a teacher beside it; the plan first:
    native-train distil --run runs/base --model mini --baseline --output runs/small --dry-run
  Continue after an interruption:
    native-train distil --output runs/small --resume
  For the browser: the one model that learned from all, and the five when a visitor asks for them:
    native-train export --run runs/small --encoding int8 --output static/bundle";

pub const PREDICT_EXAMPLES: &str = "\
Examples:
  native-train predict --run runs/base --input new.csv --output labelled.csv
  native-train predict --run runs/base --input new.csv --output scores.csv --probabilities
  Probabilities to train another model on:
    native-train predict --run runs/base --input new.csv --output soft.csv \\
        --probabilities --with-text
    native-train train --model mini --train-csv soft.csv --soft-labels --output runs/soft";

pub const EVALUATE_EXAMPLES: &str = "\
Examples:
  native-train evaluate --run runs/base --input held-out.csv
  native-train evaluate --run runs/base --input held-out.csv --json > scores.json";

pub const REPORT_EXAMPLES: &str = "\
Examples:
  native-train report --run runs/base
  native-train report --run runs/base --input held-out.csv";

pub const AUDIT_EXAMPLES: &str = "\
Examples:
  native-train audit --run runs/base
  native-train audit --run runs/base --output suspects.csv";

pub const COMPARE_EXAMPLES: &str = "\
Examples:
  native-train compare runs/small runs/base
  native-train compare runs/small runs/base --input held-out.csv --json > comparison.json";

pub const EXPORT_EXAMPLES: &str = "\
Examples:
  native-train export --run runs/base --output static/bundle
  native-train export --run runs/base --output bundle --encoding int8 --title \"Emotions\" --license MIT
  The smallest bundle that is hardly worse; one model for phones:
    native-train export --run runs/base --output bundle --encoding auto
    native-train export --run runs/base --output light --encoding int8 --soup --test-csv labelled.csv";

pub const SHRINK_EXAMPLES: &str = "\
Examples:
  Half the layers, and a fifth of the parameters:
    native-train shrink --teacher microsoft/deberta-v3-base --texts train.csv more.csv \\
        --output models/short --layers 6 --embedding-size 128 --vocab-size 16000
    native-train train --model models/short --lr 1e-4 --train-csv train.csv --output runs/short";

pub const INSPECT_EXAMPLES: &str = "\
Examples:
  native-train inspect runs/base
  native-train inspect static/bundle
  native-train inspect runs/base/fold-0/model.safetensors
  native-train inspect runs/base/fold-0 --text \"what a lovely day\"";

pub const DOCTOR_EXAMPLES: &str = "\
Examples:
  native-train doctor
  native-train doctor --json > doctor.json
  native-train doctor --device cuda:1";
