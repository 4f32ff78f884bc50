//! Kubernetes: an Indexed Job with a pod for each task, and a Job that is run when all have ended.

use std::fmt::Write;

use super::jobs::Jobs;
use super::options::Options;

/// A shell script that applies both jobs.
pub fn script(jobs: &Jobs) -> String {
    let options = &jobs.options;
    let (name, at_once) = (&options.name, jobs.at_once());
    let Jobs { layout, again, each, tasks, variables, task, last, .. } = jobs;
    let purpose = jobs.purpose.replace("{}", "a Kubernetes cluster");
    let of_task = format!("task=$JOB_COMPLETION_INDEX\n{variables}exec {task}\n");
    let of_last = format!("set -eu\n{}", jobs.last_commands);
    let gpus = options.gpus;
    let (pod, last_pod) = (
        pod(options, gpus, &of_task),
        self::pod(options, if jobs.train { gpus } else { 0 }, &of_last),
    );
    format!(
        r#"#!/usr/bin/env bash
# {purpose}: {layout}.
# Submit it with `bash`, which applies it, after the jobs of an earlier submission have been deleted. The volume holds the data,
# and takes what is written; paths count from its root.
# {again}
set -euo pipefail

kubectl apply -f - <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  # A pod for each {each}.
  completionMode: Indexed
  completions: {tasks}
  parallelism: {at_once}
  backoffLimitPerIndex: 2
  podFailurePolicy:
    rules:
      # A node that goes away is no failure of the pod.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      # 75: its state is saved, and it wants to be started again.
      - action: Ignore
        onExitCodes:
          operator: In
          values: [75]
  template:
{pod}YAML

kubectl wait --for=condition=complete --timeout=-1s job/{name}

kubectl apply -f - <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}-{last}
spec:
  backoffLimit: 2
  template:
{last_pod}YAML
"#
    )
}

/// A pod that runs a script.
fn pod(options: &Options, gpus: usize, script: &str) -> String {
    let (image, claim) = (&options.kubernetes.image, &options.kubernetes.claim);
    let (cpus, memory, grace) = (options.cpus, options.memory, options.grace);
    let gpu = if gpus == 0 { "" } else { "              nvidia.com/gpu: 1\n" };
    let mut indented = String::new();
    for line in script.lines() {
        writeln!(indented, "              {line}").expect("a string takes all");
    }
    format!(
        r#"    spec:
      restartPolicy: Never
      # The seconds between SIGTERM and SIGKILL: time for a checkpoint.
      terminationGracePeriodSeconds: {grace}
      containers:
        - name: native-train
          image: {image}
          workingDir: /work
          command: ["bash", "-c"]
          args:
            - |
{indented}          resources:
            requests:
              cpu: {cpus}
              memory: {memory}Gi
            limits:
              memory: {memory}Gi
{gpu}          volumeMounts:
            - name: work
              mountPath: /work
      volumes:
        - name: work
          persistentVolumeClaim:
            claimName: {claim}
"#
    )
}
