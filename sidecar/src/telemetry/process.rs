//! What the process takes of its machine, as the system tells it (proc(5)).

use std::fs;

/// What is told of any process.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_files: u64,
    pub(super) most_files: u64,
}

impl Process {
    /// This one; nothing where there is no proc.
    pub(super) fn this() -> Option<Self> {
        Some(Self {
            cpu_seconds: cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?)?,
            resident_bytes: resident_bytes(&fs::read_to_string("/proc/self/statm").ok()?)?,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count().try_into().ok()?,
            most_files: rustix::process::getrlimit(rustix::process::Resource::Nofile)
                .current
                .unwrap_or(u64::MAX),
        })
    }
}

/// What it has used of processors, in user mode and in the system.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // Its name may hold anything; nothing after it does.
    let (_, numbers) = stat.rsplit_once(')')?;
    let mut times = numbers.split_whitespace().skip(USER_TIME_AFTER_NAME);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn resident_bytes(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// The state, and ten numbers.
const USER_TIME_AFTER_NAME: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pretend_to_be_numbers() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 900 0 0 0 130 70 0 0 20 0 3 0 1 2 3";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_seconds(stat), Some(200.0 / ticks));
        assert_eq!(cpu_seconds("7 (a"), None);
        let page = u64::try_from(rustix::param::page_size()).unwrap();
        assert_eq!(resident_bytes("1000 250 30 1 0 90 0\n"), Some(250 * page));
    }
}
