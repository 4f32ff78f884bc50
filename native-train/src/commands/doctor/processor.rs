//! The processor and the memory beside it: instruction sets, threads and what bounds them, memory and its limit.
//!
//! On Linux this is read from `/proc` and the cgroup's files; elsewhere some of it is unknown.

use std::fs;
use std::path::Path;

use serde::Serialize;
use shared::kernels::isa::Isa;
use shared::words::joined;

use crate::threads::{cores, slurm_cores};

/// The processor and its memory.
#[derive(Debug, Serialize)]
pub struct Processor {
    name: Option<String>,
    /// The instruction sets that the kernels choose among.
    instruction_sets: Vec<&'static str>,
    /// The set that the kernels run in, by the name that `QUINTET_INSTRUCTIONS` takes.
    kernels: String,
    /// The threads that compute.
    threads: usize,
    bounds: Bounds,
    /// Processes that wanted to run, averaged over the last minute. Others slow down what is measured.
    load: Option<f64>,
    memory: Memory,
}

/// The bounds of the number of threads.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Bounds {
    /// The value of `--threads`.
    asked_for: Option<usize>,
    /// The processors of the machine.
    processors: Option<usize>,
    /// Those that this process may run on, its affinity.
    affinity: Option<usize>,
    /// The processors' worth of time that the cgroup may take.
    cgroup: Option<f64>,
    /// The cores that Slurm gave this task.
    slurm: Option<usize>,
}

/// Bytes of memory.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Memory {
    total_bytes: Option<u64>,
    available_bytes: Option<u64>,
    /// The limit of the cgroup.
    limit_bytes: Option<u64>,
}

impl Processor {
    /// The one that this process runs on. `asked_for` is the value of `--threads`.
    pub fn found(asked_for: Option<usize>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (processors, status, memory) =
            (read("/proc/cpuinfo"), read("/proc/self/status"), read("/proc/meminfo"));
        let cgroup = Cgroup::of(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
        let count = processors.lines().filter(|line| line.starts_with("processor")).count();
        Self {
            name: field(&processors, "model name").map(str::to_owned),
            instruction_sets: instruction_sets(),
            kernels: Isa::best().to_string(),
            threads: rayon::current_num_threads(),
            bounds: Bounds {
                asked_for,
                processors: (count > 0).then_some(count),
                affinity: field(&status, "Cpus_allowed_list").and_then(listed),
                cgroup: cgroup.processors,
                slurm: slurm_cores(),
            },
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()),
            memory: Memory {
                total_bytes: kibibytes(&memory, "MemTotal"),
                available_bytes: kibibytes(&memory, "MemAvailable"),
                limit_bytes: cgroup.memory_bytes,
            },
        }
    }

    /// Lines of a report, each with its subject.
    pub fn lines(&self) -> [(&'static str, String); 5] {
        let sets = match &self.instruction_sets[..] {
            [] => "none beyond the architecture's own".to_owned(),
            sets => joined(sets),
        };
        let load = self.load.map_or("unknown".to_owned(), |load| format!("{load:.1}"));
        [
            ("processor", self.name.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("instructions", format!("{sets}; the kernels run in {}", self.kernels)),
            ("threads", format!("{} {}", self.threads, self.bounds.origin(self.threads))),
            ("load", format!("{load} (processes that wanted to run, over the last minute)")),
            ("memory", self.memory.to_text()),
        ]
    }
}

impl Bounds {
    /// Says where the number of threads comes from.
    fn origin(&self, threads: usize) -> String {
        let Self { asked_for, processors, affinity, cgroup, slurm } = self;
        let mut known = Vec::new();
        known.extend(processors.map(|n| format!("the machine has {n} processors")));
        known.extend(affinity.map(|n| format!("the affinity allows {n}")));
        known.extend(cgroup.map(|n| format!("the cgroup allows the time of {n:.1}")));
        known.extend(slurm.map(|n| format!("Slurm gave {n}")));
        let least = affinity.unwrap_or(usize::MAX) as f64;
        let least = cgroup.map_or(least, |quota| quota.min(least));
        let origin = match (asked_for, affinity, cgroup) {
            (Some(_), ..) => "from --threads",
            _ if slurm.is_some_and(|slurm| (slurm as f64) < least) => "from Slurm",
            (_, _, Some(quota)) if *quota < affinity.unwrap_or(usize::MAX) as f64 => {
                "from the cgroup"
            }
            (_, Some(affinity), _) if Some(*affinity) < *processors => "from the affinity",
            _ if threads == cores() => "one for each processor",
            _ => "from the environment",
        };
        if known.is_empty() { origin.to_owned() } else { format!("{origin}: {}", joined(known)) }
    }
}

impl Memory {
    fn to_text(&self) -> String {
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
        let Some(total) = self.total_bytes else { return "unknown".to_owned() };
        let mut text = gib(total);
        if let Some(available) = self.available_bytes {
            text += &format!(", {} available", gib(available));
        }
        if let Some(limit) = self.limit_bytes {
            text += &format!(", at most {} by the cgroup", gib(limit));
        }
        text
    }
}

/// The instruction sets of this processor that the kernels have code for.
fn instruction_sets() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("AVX2", is_x86_feature_detected!("avx2")),
            ("FMA", is_x86_feature_detected!("fma")),
            ("AVX-512F", is_x86_feature_detected!("avx512f")),
            ("AVX-512BW", is_x86_feature_detected!("avx512bw")),
            ("AVX-512VL", is_x86_feature_detected!("avx512vl")),
            ("AVX-512VNNI", is_x86_feature_detected!("avx512vnni")),
        ];
        known.into_iter().filter(|(_, found)| *found).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// The limits of a process's cgroup and of those around it, of which the smallest counts.
#[derive(Debug, Default, PartialEq)]
struct Cgroup {
    processors: Option<f64>,
    memory_bytes: Option<u64>,
}

impl Cgroup {
    /// Reads the limits of the group that `/proc/self/cgroup` names, in the file system at `root`.
    fn of(membership: &str, root: &Path) -> Self {
        let mut limits = Self::default();
        for line in membership.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let path = path.trim_start_matches('/');
            // Version 2 has one tree for all; version 1 one for each controller.
            let tree = match controllers {
                "" => root.to_owned(),
                named => root.join(named.trim_start_matches("name=")),
            };
            // Within a container the group may be the root of what can be seen.
            let group =
                Some(tree.join(path)).filter(|group| group.is_dir()).unwrap_or(tree.clone());
            for folder in group.ancestors().take_while(|folder| folder.starts_with(&tree)) {
                limits.take(folder);
            }
        }
        limits
    }

    fn take(&mut self, folder: &Path) {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let number = |name: &str| read(name).trim().parse::<f64>().ok();
        let version_1 =
            number("cpu.cfs_quota_us").zip(number("cpu.cfs_period_us")).map(|(q, p)| q / p);
        let processors =
            quota(&read("cpu.max")).or(version_1).filter(|processors| *processors > 0.0);
        let memory = read("memory.max").trim().parse::<u64>().ok();
        // Version 1 has a number of pages near the largest where there is no limit.
        let version_1 = read("memory.limit_in_bytes").trim().parse::<u64>().ok();
        let memory = memory.or(version_1.filter(|bytes| *bytes < 1 << 60));
        self.processors = least(self.processors, processors);
        self.memory_bytes = least(self.memory_bytes, memory);
    }
}

fn least<T: PartialOrd>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) if b < a => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// Reads `cpu.max`: `200000 100000` allows two processors, `max 100000` any number.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// Counts a list of processors, such as `0-3,8`.
fn listed(list: &str) -> Option<usize> {
    list.split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(last.trim().parse::<usize>().ok()? - first.trim().parse::<usize>().ok()? + 1)
        })
        .sum()
}

/// The first value of a field in lines of the form `NAME: VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then_some(value.trim())
    })
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let number: u64 = field(text, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_and_quotas_read() {
        assert_eq!(listed("0-3,8"), Some(5));
        assert_eq!(listed("2"), Some(1));
        assert_eq!(listed("x"), None);
        assert_eq!(quota("250000 100000\n"), Some(2.5));
        assert_eq!(quota("max 100000\n"), None);
        assert_eq!(kibibytes("MemTotal:  3 kB\nMemFree: 1 kB\n", "MemTotal"), Some(3072));
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_those_around_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("pod/task");
        fs::create_dir_all(&inner).unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        write("pod/cpu.max", "150000 100000\n");
        write("pod/task/cpu.max", "400000 100000\n");
        write("pod/memory.max", "max\n");
        write("pod/task/memory.max", "1073741824\n");
        let found = Cgroup::of("0::/pod/task\n", root.path());
        assert_eq!(found, Cgroup { processors: Some(1.5), memory_bytes: Some(1 << 30) });
        // As a container sees its own group.
        write("cpu.max", "200000 100000\n");
        assert_eq!(Cgroup::of("0::/elsewhere\n", root.path()).processors, Some(2.0));
        assert_eq!(Cgroup::of("", root.path()), Cgroup::default());
    }

    #[test]
    fn limits_of_the_first_version_are_read() {
        let root = tempfile::tempdir().unwrap();
        for controller in ["cpu,cpuacct", "memory"] {
            fs::create_dir_all(root.path().join(controller).join("task")).unwrap();
        }
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        write("cpu,cpuacct/task/cpu.cfs_quota_us", "300000\n");
        write("cpu,cpuacct/task/cpu.cfs_period_us", "100000\n");
        write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        write("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        write("memory/task/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.limit_in_bytes", "2048\n");
        let found = Cgroup::of("4:memory:/task\n2:cpu,cpuacct:/task\n", root.path());
        assert_eq!(found, Cgroup { processors: Some(3.0), memory_bytes: Some(2048) });
    }

    #[test]
    fn the_number_of_threads_has_an_origin() {
        let bounds = |asked_for, affinity, cgroup| Bounds {
            asked_for,
            processors: Some(8),
            affinity: Some(affinity),
            cgroup,
            slurm: None,
        };
        let told = bounds(None, 8, Some(2.0)).origin(2);
        let expected = "from the cgroup: the machine has 8 processors, the affinity allows 8, the cgroup \
                        allows the time of 2.0";
        assert_eq!(told, expected);
        assert!(bounds(None, 4, None).origin(4).starts_with("from the affinity: "));
        assert!(bounds(Some(3), 4, Some(2.0)).origin(3).starts_with("from --threads: "));
        let of_slurm = |slurm| Bounds { slurm: Some(slurm), ..bounds(None, 8, Some(4.0)) };
        assert!(of_slurm(2).origin(2).starts_with("from Slurm: "));
        assert!(of_slurm(2).origin(2).ends_with("the time of 4.0, Slurm gave 2"));
        assert!(of_slurm(6).origin(4).starts_with("from the cgroup: "));
        assert!(bounds(None, 8, None).origin(cores()).starts_with("one for each processor: "));
        assert_eq!(Bounds::default().origin(cores()), "one for each processor");
    }
}
