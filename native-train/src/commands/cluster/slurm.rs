//! Slurm: an array with a task for each fold, and a job that gathers when all have ended.

use super::jobs::Jobs;

/// A shell script that submits both jobs.
pub fn script(jobs: &Jobs) -> String {
    let options = &jobs.options;
    let (name, cpus, memory, grace) = (&options.name, options.cpus, options.memory, options.grace);
    let optional = |flag: &str, value: Option<&String>| {
        value.map_or_else(String::new, |value| format!("#SBATCH --{flag}={value}\n"))
    };
    let place = optional("partition", options.slurm.partition.as_ref())
        + &optional("account", options.slurm.account.as_ref());
    let gpu = if options.gpus == 0 { "" } else { "#SBATCH --gres=gpu:1\n" };
    let at_once = options.at_once.map_or_else(String::new, |at_once| format!("%{at_once}"));
    let setup = options.slurm.setup.as_ref().map_or_else(String::new, |line| format!("{line}\n"));
    let (time, last, layout) = (&options.slurm.time, jobs.tasks() - 1, jobs.layout());
    let variables = jobs.task_variables("SLURM_ARRAY_TASK_ID");
    let (train, gather) = (jobs.train(), jobs.gather());
    format!(
        r#"#!/usr/bin/env bash
# Trains the folds of a run on a Slurm cluster and gathers the results: {layout}.
# Submit it with `bash` in the folder that the paths below count from, which all nodes must share. To continue a run
# that was stopped, submit it again: what is trained is not trained again.
set -euo pipefail

# A task for each fold. Tasks that are stopped (preempted, out of time) save their state and are queued again.
array=$(sbatch --parsable <<'JOB'
#!/usr/bin/env bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}{at_once}
#SBATCH --nodes=1 --ntasks=1 --cpus-per-task={cpus}
#SBATCH --mem={memory}G
{gpu}{place}#SBATCH --time={time}
#SBATCH --requeue
# SIGTERM comes so many seconds before the time is up.
#SBATCH --signal=B:TERM@{grace}
#SBATCH --output={name}-%A_%a.log
# A task that was queued again goes on in its log.
#SBATCH --open-mode=append
set -uo pipefail
{setup}{variables}
{train} &
training=$! asked=
trap 'asked=yes; kill -TERM "$training"' TERM
# A signal ends `wait` with 143, but not yet the training.
until wait "$training"; code=$?; [ "$code" -ne 143 ]; do :; done
# 75: its state is saved, and it wants to be started again, and so does one that was stopped before it had any.
if [ "$code" -eq 75 ] || [ -n "$asked" ] && [ "$code" -ne 0 ]; then scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; fi
exit "$code"
JOB
)

# The results, once every fold is trained.
gather=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes <<'JOB'
#!/usr/bin/env bash
#SBATCH --job-name={name}-gather
#SBATCH --nodes=1 --ntasks=1 --cpus-per-task={cpus}
#SBATCH --mem={memory}G
{gpu}{place}#SBATCH --time=1:00:00
#SBATCH --output={name}-gather-%j.log
set -euo pipefail
{setup}{gather}JOB
)
echo "the folds are job $array, the results job $gather"
"#
    )
}
