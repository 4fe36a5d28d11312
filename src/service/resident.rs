//! Unmaps what only starting needed of the program.
//!
//! Reading manifests, compiling filters and making the firewall's table run once through half of the program. The
//! kernel maps a file in pieces of 64 KiB or more around each page that is touched (`fault_around_bytes`; since Linux
//! 6.18 whole folios of the page cache) and keeps them mapped: 11 MiB, of which a process that waits for log lines
//! touches 1.6.

#![expect(unsafe_code, reason = "madvise takes addresses; what it is told to drop here comes back unchanged")]

use std::fs::{read_link, read_to_string};
use std::io;

use rustix::mm::{Advice, madvise};

/// Unmaps the pages of this program that are as its file has them; those that are used again come back from the page
/// cache. Returns how many bytes are resident less.
///
/// # Errors
/// When `/proc/self` cannot be read.
pub fn unmap_program() -> io::Result<u64> {
    let program = read_link("/proc/self/exe")?;
    let mut bytes = 0;
    for mapping in clean(&read_to_string("/proc/self/smaps")?, &program.to_string_lossy()) {
        // SAFETY: the mapping is the program's own, so it is there until the process ends. It is private, not
        // writable, and none of its pages differs from the file: after `MADV_DONTNEED` the next access finds the same
        // bytes, read from the file again (madvise(2)).
        if unsafe { madvise(mapping.start as *mut _, mapping.length, Advice::LinuxDontNeed) }.is_ok() {
            bytes += mapping.resident;
        }
    }
    Ok(bytes)
}

/// A part of the address space, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mapping {
    start: usize,
    length: usize,
    resident: u64,
}

/// The mappings of the file `program` that nothing may write to and that hold no page of their own.
///
/// What the dynamic linker relocated is not writable any more either, but differs from the file: `Anonymous` counts what
/// of it is in memory, `Swap` the rest. Where nothing is resident there is nothing to give up, and the numbers may be
/// made up: qemu's user emulation tells 0 of every mapping.
fn clean(smaps: &str, program: &str) -> Vec<Mapping> {
    let mut found = Vec::new();
    let mut current: Option<Mapping> = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("Rss:"), Some(kib)) => {
                if let Some(mapping) = &mut current {
                    mapping.resident = kib.parse().unwrap_or(0) << 10;
                }
            }
            (Some("Anonymous:"), kib) if kib != Some("0") => current = None,
            (Some("Swap:"), Some("0")) => found.extend(current.take().filter(|mapping| mapping.resident > 0)),
            (Some(range), Some(rights)) if !range.ends_with(':') => {
                let ours = line.strip_suffix(program).is_some_and(|rest| rest.ends_with(' '))
                    && matches!(rights, "r--p" | "r-xp");
                current = if ours { mapping(range) } else { None };
            }
            _ => {}
        }
    }
    found
}

fn mapping(range: &str) -> Option<Mapping> {
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    Some(Mapping { start, length, resident: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
1000-3000 r--p 00000000 fe:00 7     /usr/bin/gaoler
Rss:                   8 kB
Anonymous:             0 kB
Swap:                  0 kB
3000-9000 r-xp 00002000 fe:00 7     /usr/bin/gaoler
Rss:                   16 kB
Anonymous:             0 kB
Swap:                  0 kB
9000-a000 r--p 00008000 fe:00 7     /usr/bin/gaoler
Rss:                   4 kB
Anonymous:             4 kB
Swap:                  0 kB
a000-b000 r--p 00009000 fe:00 7     /usr/bin/gaoler
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  4 kB
e000-f000 r--p 0000e000 fe:00 7     /usr/bin/gaoler
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
b000-c000 rw-p 0000a000 fe:00 7     /usr/bin/gaoler
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
c000-d000 r-xp 00000000 fe:00 8     /usr/lib/libc.so.6
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
d000-e000 rw-p 00000000 00:00 0
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
";

    #[test]
    fn what_was_relocated_can_be_written_is_not_there_or_belongs_to_others_stays_mapped() {
        let header = Mapping { start: 0x1000, length: 0x2000, resident: 8 << 10 };
        let code = Mapping { start: 0x3000, length: 0x6000, resident: 16 << 10 };
        assert_eq!(clean(SMAPS, "/usr/bin/gaoler"), [header, code]);
    }

    #[test]
    fn the_program_goes_on_after_its_pages_were_unmapped() {
        let before = resident();
        let bytes = unmap_program().expect("/proc is mounted");
        assert!(bytes > 1 << 20, "{bytes} bytes given up");
        let after = resident();
        assert!(after < before, "{after} KiB of the file resident after, {before} before");
    }

    fn resident() -> u64 {
        let status = read_to_string("/proc/self/status").expect("/proc is mounted");
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).expect("as proc(5) has it");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }
}
