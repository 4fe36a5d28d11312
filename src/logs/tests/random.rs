//! A writer that rotates in every way, a reader that is polled, killed and restored, both at random moments: every
//! line once, and in order unless copytruncate took away a file of which nothing was read yet (its copy is then read
//! after what replaced it). The seed is in the message of a failure.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::world::{Got, World, as_lines, gzip};
use crate::engine::Duration;
use crate::logs::{Checkpoint, FilesOptions};

/// xorshift64*: the same sequence on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// Writes one stream, and rotates it.
struct Writer {
    base: &'static str,
    file: Option<File>,
    written: Vec<String>,
    /// The beginning of a line that was not finished.
    open_line: Option<String>,
    equal_lengths: bool,
    dated: bool,
    rotations: u32,
    copies: bool,
}

impl Writer {
    fn new(base: &'static str, dice: &mut Dice) -> Self {
        let (equal_lengths, dated) = (dice.roll(2) == 0, dice.roll(2) == 0);
        Self {
            base,
            file: None,
            written: Vec::new(),
            open_line: None,
            equal_lengths,
            dated,
            rotations: 0,
            copies: true,
        }
    }

    fn line(&mut self, dice: &mut Dice) -> String {
        let n = self.written.len();
        let padding = if self.equal_lengths { 40 } else { dice.roll(300) as usize };
        let line = format!("{n:08} {} WARN login failed from 203.0.113.7 {}", self.base, "x".repeat(padding));
        self.written.push(line.clone());
        line
    }

    fn write(&mut self, w: &World, text: &str) {
        let file = self.file.get_or_insert_with(|| w.open(self.base));
        file.write_all(text.as_bytes()).unwrap();
    }

    fn append(&mut self, w: &World, dice: &mut Dice) {
        if let Some(rest) = self.open_line.take() {
            self.write(w, &rest);
        }
        let mut text = String::new();
        for _ in 0..dice.roll(12) {
            text.push_str(&self.line(dice));
            text.push('\n');
        }
        if dice.roll(4) == 0 {
            let line = self.line(dice) + "\n";
            let (now, later) = line.split_at(dice.roll(line.len() as u64) as usize);
            text.push_str(now);
            self.open_line = Some(later.to_owned());
        }
        self.write(w, &text);
    }

    fn finish_line(&mut self, w: &World) {
        if let Some(rest) = self.open_line.take() {
            self.write(w, &rest);
        }
    }

    /// The names of rotated files, the youngest first.
    fn rotated(&self, w: &World) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(w.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(self.base) && name != self.base)
            .collect();
        let number = |name: &String| {
            let suffix = name.strip_prefix(self.base).unwrap().trim_start_matches(['.', '-']);
            suffix.trim_end_matches(".gz").replace('-', "").parse::<u64>().unwrap()
        };
        names.sort_by_key(number);
        if self.dated {
            names.reverse();
        }
        names
    }

    /// Makes room for the next rotated file and names it.
    fn next_name(&mut self, w: &World) -> String {
        self.rotations += 1;
        if self.dated {
            return format!("{}.20260102-{:06}", self.base, self.rotations);
        }
        for (i, name) in self.rotated(w).iter().enumerate().rev() {
            let gz = if name.ends_with(".gz") { ".gz" } else { "" };
            w.rename(name, &format!("{}.{}{gz}", self.base, i + 2));
        }
        format!("{}.1", self.base)
    }

    fn rotate_by_rename(&mut self, w: &World, dice: &mut Dice) {
        if !w.path(self.base).exists() {
            return;
        }
        let name = self.next_name(w);
        w.rename(self.base, &name);
        // Until it is told to reopen the writer goes on in the old file.
        if dice.roll(2) == 0 && self.file.is_some() {
            self.append(w, dice);
        }
        self.finish_line(w);
        self.file = None;
        if dice.roll(2) == 0 {
            self.append(w, dice);
        }
    }

    fn rotate_by_copy(&mut self, w: &World, dice: &mut Dice) {
        if !self.copies {
            return self.rotate_by_rename(w, dice);
        }
        if !w.path(self.base).exists() {
            return;
        }
        // A line in two pieces would be torn apart by the truncation itself.
        self.finish_line(w);
        let name = self.next_name(w);
        let length = fs::copy(w.path(self.base), w.path(&name)).unwrap();
        File::options().write(true).open(w.path(self.base)).unwrap().set_len(0).unwrap();
        if self.equal_lengths && dice.roll(2) == 0 {
            while fs::metadata(w.path(self.base)).unwrap().len() < length {
                let line = self.line(dice) + "\n";
                self.write(w, &line);
            }
        }
    }

    fn compress(&self, w: &World, dice: &mut Dice) {
        let plain: Vec<String> = self.rotated(w).into_iter().filter(|name| !name.ends_with(".gz")).collect();
        if !plain.is_empty() {
            gzip(&w.path(&plain[dice.roll(plain.len() as u64) as usize]));
        }
    }
}

fn play(seed: u64, patterns: &[&str], force_polling: bool) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut w = World::with(patterns, FilesOptions { force_polling, ..FilesOptions::default() });
    let mut writers = [Writer::new("james.log", &mut dice), Writer::new("mail.log", &mut dice)];
    let copies = !seed.is_multiple_of(3);
    writers.iter_mut().for_each(|writer| writer.copies = copies);
    let mut got: Vec<Got> = Vec::new();
    let mut saved: (Vec<Checkpoint>, usize) = (Vec::new(), 0);
    let mut history = Vec::new();
    for _ in 0..150 {
        let which = dice.roll(2) as usize;
        let writer = &mut writers[which];
        let action = dice.roll(20);
        history.push((writer.base, action));
        match action {
            0..=5 => writer.append(&w, &mut dice),
            6 | 7 => writer.rotate_by_rename(&w, &mut dice),
            8 | 9 => writer.rotate_by_copy(&w, &mut dice),
            10 => writer.compress(&w, &mut dice),
            11 => {
                // What was read may go. (Without inotify that takes as long as the slow look.)
                w.now = w.now + Duration::from_secs(1);
                while w.poll(&mut got, u64::MAX) {}
                if writer.open_line.is_none()
                    && let Some(oldest) = writer.rotated(&w).last()
                {
                    w.remove(oldest);
                }
            }
            12..=15 => {
                let budget = 1 + dice.roll(2000);
                w.poll(&mut got, budget);
            }
            16 => w.now = w.now + Duration::from_millis(dice.roll(4000)),
            17 => saved = (w.files.checkpoints(), got.len()),
            18 => {
                // An orderly stop.
                saved = (w.stop(), got.len());
                for _ in 0..dice.roll(3) {
                    match dice.roll(3) {
                        0 => writer.append(&w, &mut dice),
                        1 => writer.rotate_by_rename(&w, &mut dice),
                        _ => writer.rotate_by_copy(&w, &mut dice),
                    }
                }
                w.start(&saved.0);
            }
            _ => {
                // Killed: what was made of the lines since the last save is gone with the places.
                got.truncate(saved.1);
                w.start(&saved.0);
            }
        }
        // Deleting is only allowed once what was deleted is saved.
        if action == 11 {
            saved = (w.files.checkpoints(), got.len());
        }
    }
    for writer in &mut writers {
        writer.finish_line(&w);
    }
    for _ in 0..20 {
        while w.poll(&mut got, u64::MAX) {}
        w.now = w.now + Duration::from_secs(1);
    }
    for writer in &writers {
        let mut read: Vec<&str> =
            got.iter().filter(|g| g.path.ends_with(writer.base)).map(|g| g.line.as_str()).collect();
        if copies {
            read.sort_unstable();
        }
        if read != writer.written {
            let first = read.iter().zip(&writer.written).position(|(a, b)| a != b);
            let at = first.unwrap_or_else(|| read.len().min(writer.written.len()));
            panic!(
                "seed {seed}: {} lines written, {} read, first difference at {at}:\n  read    {:?}\n  written {:?}\n{history:?}",
                writer.written.len(),
                read.len(),
                read.get(at),
                writer.written.get(at),
            );
        }
    }
    let strangers: Vec<_> =
        got.iter().filter(|g| !writers.iter().any(|w| g.path.ends_with(w.base))).collect();
    assert!(strangers.is_empty(), "seed {seed}: lines of streams nobody wrote: {strangers:?}");
}

/// How many plays each test makes; GAOLER_LOG_SEEDS asks for more.
fn plays(few: u64) -> u64 {
    std::env::var("GAOLER_LOG_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(few)
}

#[test]
fn every_line_is_read_once_over_any_rotation_and_restart() {
    for seed in 0..plays(60) {
        play(seed, &["james.log", "mail.log"], false);
    }
}

#[test]
fn the_same_with_a_glob_that_also_matches_the_rotated_files() {
    for seed in 0..plays(40) {
        play(1_000_000 + seed, &["*.log*"], false);
    }
}

#[test]
fn the_same_without_inotify() {
    for seed in 0..plays(30) {
        play(2_000_000 + seed, &["james.log", "mail.log"], true);
    }
}

/// Writes lines as fast as it can and rotates in the middle of it, writing late lines into the renamed file.
fn hurry(dir: &Path, lines: usize) {
    let path = dir.join("james.log");
    let open = || File::options().append(true).create(true).open(&path).unwrap();
    let mut file = open();
    let mut dice = Dice(4711);
    let mut rotations = 0;
    for n in 0..lines {
        writeln!(file, "{n:08} login failed from 203.0.113.7 {}", "x".repeat(dice.roll(100) as usize))
            .unwrap();
        if dice.roll(400) == 0 {
            rotations += 1;
            fs::rename(&path, dir.join(format!("james.log.20260102-{rotations:06}"))).unwrap();
            if dice.roll(2) == 0 {
                // The new file is there, the writer has not noticed yet.
                drop(open());
            }
            for _ in 0..dice.roll(3) {
                writeln!(file, "{n:08} late {rotations}").unwrap();
            }
            file = open();
        }
    }
}

#[test]
fn a_writer_in_a_hurry_loses_and_doubles_nothing() {
    let mut w = World::new(&["james.log"]);
    let dir = w.dir.path().to_path_buf();
    let writer = std::thread::spawn(move || hurry(&dir, 30_000));
    let mut got: Vec<Got> = Vec::new();
    let mut dice = Dice(42);
    while !writer.is_finished() {
        w.poll(&mut got, 1 + dice.roll(100_000));
        if dice.roll(200) == 0 {
            w.restart();
        }
    }
    writer.join().unwrap();
    for _ in 0..15 {
        while w.poll(&mut got, u64::MAX) {}
        w.now = w.now + Duration::from_secs(1);
    }
    let mut written = Vec::new();
    for entry in fs::read_dir(w.dir.path()).unwrap() {
        written.extend(as_lines(&fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    let mut read: Vec<String> = got.into_iter().map(|g| g.line).collect();
    written.sort();
    read.sort();
    assert_eq!(read.len(), written.len());
    assert!(read == written);
}
