//! Kubernetes: an Indexed Job with a pod for each fold, and a Job that gathers when all have ended.

use std::fmt::Write;

use super::jobs::Jobs;

/// A shell script that applies both jobs.
pub fn script(jobs: &Jobs) -> String {
    let options = &jobs.options;
    let (name, layout, tasks) = (&options.name, jobs.layout(), jobs.tasks());
    let at_once = jobs.at_once();
    let train = jobs.task_variables("JOB_COMPLETION_INDEX") + "exec " + &jobs.train() + "\n";
    let (pod, gather) = (pod(jobs, &train), pod(jobs, &jobs.gather()));
    format!(
        r#"#!/usr/bin/env bash
# Trains the folds of a run on a Kubernetes cluster and gathers the results: {layout}.
# Apply it with `bash`. The volume holds the data, and takes the run; paths count from its root. To continue a run that was
# stopped, delete the jobs and apply them again: what is trained is not trained again.
set -euo pipefail

kubectl apply -f - <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  # A pod for each fold.
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
  name: {name}-gather
spec:
  backoffLimit: 2
  template:
{gather}YAML
"#
    )
}

/// A pod that runs a script.
fn pod(jobs: &Jobs, script: &str) -> String {
    let options = &jobs.options;
    let (image, claim) = (&options.kubernetes.image, &options.kubernetes.claim);
    let (cpus, memory, grace) = (options.cpus, options.memory, options.grace);
    let gpu = if options.gpus == 0 { "" } else { "              nvidia.com/gpu: 1\n" };
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
