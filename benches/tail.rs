//! Files to blocks of lines: reading what is there, waking for one line, and idling over many files.
//!
//! `cargo bench --no-default-features --features standalone --bench tail`

#![allow(clippy::unwrap_used)] // A bench that cannot make its files has nothing to measure.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use divan::counter::BytesCount;
use gaoler::engine::{Duration, Timestamp};
use gaoler::logs::{Checkpoint, Files, FilesOptions, GroupId};

const LINE: &str =
    "12:00:00.000 \u{1b}[34m[INFO ]\u{1b}[0;39m o.a.j.p.s.c.e.AuthCmdHandler - SMTP Authentication\n";

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

fn follow(checkpoints: Vec<Checkpoint>, glob: PathBuf) -> Files {
    let mut files = Files::new(checkpoints, FilesOptions::default());
    files.watch([(GroupId(0), vec![glob])]);
    files
}

fn drain(files: &mut Files) -> usize {
    let mut bytes = 0;
    while files.poll(now(), u64::MAX, &mut |chunk| bytes += divan::black_box(chunk.bytes).len()).more {}
    bytes
}

/// A file of 64 MiB in the page cache, from its beginning.
#[divan::bench(sample_count = 20)]
fn read_from_the_beginning(bencher: divan::Bencher<'_, '_>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("james.log");
    let size = (64 << 20) / LINE.len() * LINE.len();
    fs::write(&path, LINE.repeat(size / LINE.len())).unwrap();
    bencher
        .counter(BytesCount::new(size))
        .with_inputs(|| follow(Vec::new(), path.clone()))
        .bench_refs(|files| assert_eq!(drain(files), size));
}

/// One line appended: from the event that waits to the sink.
#[divan::bench(sample_count = 1000, args = [1, 1000])]
fn wake_for_one_line(bencher: divan::Bencher<'_, '_>, others: usize) {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..others {
        fs::write(dir.path().join(format!("{i}.log")), LINE.repeat(100)).unwrap();
    }
    let mut files = follow(Vec::new(), dir.path().join("*.log"));
    drain(&mut files);
    let mut writer: File = OpenOptions::new().append(true).open(dir.path().join("0.log")).unwrap();
    // The clock stands still: the slow look is measured apart.
    let moment = now();
    files.poll(moment, u64::MAX, &mut |_| {});
    bencher.with_inputs(|| writer.write_all(LINE.as_bytes()).unwrap()).bench_local_values(|()| {
        let mut bytes = 0;
        files.poll(moment, u64::MAX, &mut |chunk| bytes += chunk.bytes.len());
        assert_eq!(bytes, LINE.len());
    });
}

/// The slow look, once a second, at files where nothing happens.
#[divan::bench(sample_count = 100, args = [1, 1000])]
fn look_at_idle_files(bencher: divan::Bencher<'_, '_>, count: usize) {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..count {
        fs::write(dir.path().join(format!("{i}.log")), LINE).unwrap();
    }
    let mut files = follow(Vec::new(), dir.path().join("*.log"));
    drain(&mut files);
    let mut moment = now();
    bencher.bench_local(|| {
        moment = moment + Duration::from_secs(1);
        files.poll(moment, u64::MAX, &mut |_| {})
    });
}
