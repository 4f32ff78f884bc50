//! Slurm: an array of tasks, and a job that is run when all have ended.

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
    let (time, last_task) = (&options.slurm.time, jobs.tasks - 1);
    let Jobs { layout, again, each, variables, last, last_does, last_commands, .. } = jobs;
    let purpose = jobs.purpose.replace("{}", "a Slurm cluster");
    let last_gpu = if jobs.train { gpu } else { "" };
    let (stopped, signal, body) = if jobs.train {
        let signal = format!(
            "# SIGTERM comes so many seconds before the time is up.\n#SBATCH --signal=B:TERM@{grace}\n"
        );
        (
            "Tasks that are stopped (preempted, out of time) save their state and are queued again.",
            signal,
            stoppable(&jobs.task),
        )
    } else {
        let stopped = "Tasks that are preempted are queued again, and begin anew; one that is out of time fails: ask for more parts.";
        (stopped, String::new(), format!("exec {}\n", jobs.task))
    };
    format!(
        r#"#!/usr/bin/env bash
# {purpose}: {layout}.
# Submit it with `bash` in the folder that the paths below count from, which all nodes must share.
# {again}
set -euo pipefail

# A task for each {each}. {stopped}
array=$(sbatch --parsable <<'JOB'
#!/usr/bin/env bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last_task}{at_once}
#SBATCH --nodes=1 --ntasks=1 --cpus-per-task={cpus}
#SBATCH --mem={memory}G
{gpu}{place}#SBATCH --time={time}
#SBATCH --requeue
{signal}#SBATCH --output={name}-%A_%a.log
# A task that was queued again goes on in its log.
#SBATCH --open-mode=append
set -uo pipefail
{setup}task=$SLURM_ARRAY_TASK_ID
{variables}
{body}JOB
)

# {last_does}
last=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes <<'JOB'
#!/usr/bin/env bash
#SBATCH --job-name={name}-{last}
#SBATCH --nodes=1 --ntasks=1 --cpus-per-task={cpus}
#SBATCH --mem={memory}G
{last_gpu}{place}#SBATCH --time=1:00:00
#SBATCH --output={name}-{last}-%j.log
set -euo pipefail
{setup}{last_commands}JOB
)
echo "the {each}s are job $array, the last job is $last"
"#
    )
}

/// Shell lines that run a command which saves its state when it is asked to stop, and have Slurm queue the task again.
fn stoppable(command: &str) -> String {
    format!(
        r#"{command} &
training=$! asked=
trap 'asked=yes; kill -TERM "$training"' TERM
# A signal ends `wait`, but not yet the training.
until wait "$training"; code=$?; ! kill -0 "$training" 2>/dev/null; do :; done
# 75: its state is saved, and it wants to be started again, and so does one that was stopped before it had any.
if [ "$code" -eq 75 ] || [ -n "$asked" ] && [ "$code" -ne 0 ]; then scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; fi
exit "$code"
"#
    )
}
