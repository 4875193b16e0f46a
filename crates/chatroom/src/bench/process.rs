//! What Linux tells about a process under `/proc`. Elsewhere these figures are missing.

use std::fs;

/// Ticks of the processor times in `/proc/PID/stat` in a second: 100 on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

fn read(pid: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// The seconds of processor time a process has used, in its own code and in the kernel.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    cpu_seconds_in(&read(pid, "stat")?)
}

fn cpu_seconds_in(stat: &str) -> Option<f64> {
    // The second field is the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

/// The bytes of memory a process holds (`VmRSS`).
pub(crate) fn memory_bytes(pid: u32) -> Option<u64> {
    let kilobytes: u64 = field(&read(pid, "status")?, "VmRSS:")?.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// How many files and sockets a process may have open.
pub(crate) fn open_files_max(pid: u32) -> Option<u64> {
    field(&read(pid, "limits")?, "Max open files")?.split_ascii_whitespace().next()?.parse().ok()
}

/// The cores this process may run on.
pub(crate) fn cores() -> Vec<usize> {
    let status = read(std::process::id(), "status").unwrap_or_default();
    field(&status, "Cpus_allowed_list:").map(cores_in).unwrap_or_default()
}

fn cores_in(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let stat = "12 (a) b) c) S 1 12 12 0 -1 4194304 500 0 0 0 123 77 0 0 20 0 3 0 9 9 9";
        assert_eq!(cpu_seconds_in(stat), Some(2.0));
        assert_eq!(cores_in("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(field("a: 1\nVmRSS:  7 kB\n", "VmRSS:"), Some("  7 kB"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_figures() {
        let pid = std::process::id();
        assert!(cpu_seconds(pid).is_some());
        assert!(memory_bytes(pid).is_some_and(|bytes| bytes > 100_000));
        assert!(open_files_max(pid).is_some_and(|files| files > 0));
        assert!(!cores().is_empty());
    }
}
