use rustix::fs::{FileType, Mode};

use super::*;

fn save(file: &StateFile, state: &[u32]) {
    file.stage(&state).unwrap().commit().unwrap();
}

fn load(file: &StateFile) -> Found<Vec<u32>> {
    file.load()
}

fn fresh() -> (tempfile::TempDir, StateFile) {
    let directory = tempfile::tempdir().unwrap();
    let file = StateFile::open(&directory.path().join("deep/state")).unwrap();
    (directory, file)
}

#[test]
fn what_was_saved_last_is_loaded() {
    let (_directory, file) = fresh();
    assert!(load(&file).state.is_none());
    save(&file, &[1]);
    save(&file, &[1, 2]);
    let found = load(&file);
    assert_eq!((found.state, found.troubles.len()), (Some(vec![1, 2]), 0));
}

#[test]
fn cut_off_anywhere_the_state_before_is_used_and_the_rest_kept_aside() {
    let (_directory, file) = fresh();
    save(&file, &[1]);
    save(&file, &[1, 2]);
    let whole = fs::read(file.path()).unwrap();
    let before = fs::read(beside(file.path(), ".1")).unwrap();
    for length in 0..whole.len() {
        fs::write(file.path(), &whole[..length]).unwrap();
        fs::write(beside(file.path(), ".1"), &before).unwrap();
        let found = load(&file);
        assert_eq!(found.state, Some(vec![1]), "cut to {length}");
        assert!(found.troubles[0].contains("damaged"), "{:?}", found.troubles);
        assert_eq!(fs::read(beside(file.path(), ".damaged")).unwrap(), &whole[..length]);
    }
}

#[test]
fn one_changed_byte_anywhere_is_noticed() {
    let (_directory, file) = fresh();
    save(&file, &[17, 4]);
    let whole = fs::read(file.path()).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(file.path(), &changed).unwrap();
        let found = load(&file);
        assert!(found.state.is_none() && found.troubles.len() == 1, "byte {at}");
    }
}

#[test]
fn a_damaged_state_never_replaces_the_good_one_before_it() {
    let (_directory, file) = fresh();
    save(&file, &[1]);
    save(&file, &[2]);
    fs::write(file.path(), "gaoler-state 1\n{").unwrap();
    assert_eq!(load(&file).state, Some(vec![1]));
    save(&file, &[3]);
    fs::write(file.path(), "").unwrap();
    assert_eq!(load(&file).state, Some(vec![1]));
}

#[test]
fn a_newer_version_is_named() {
    let (_directory, file) = fresh();
    let mut bytes = b"gaoler-state 2\n[1]".to_vec();
    let mut crc = Crc::new();
    crc.update(&bytes);
    bytes.extend_from_slice(format!("\ncrc32 {:08x}\n", crc.sum()).as_bytes());
    fs::write(file.path(), bytes).unwrap();
    assert!(load(&file).troubles[0].contains("version 2"));
}

#[test]
fn a_state_that_was_staged_but_not_committed_changes_nothing() {
    let (_directory, file) = fresh();
    save(&file, &[1]);
    file.stage(&[2]).unwrap();
    assert_eq!(load(&file).state, Some(vec![1]));
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_it() {
    let (_directory, file) = fresh();
    let error = StateFile::open(file.path()).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn a_directory_is_refused_and_nothing_is_left_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::create_dir(&path).unwrap();
    let error = StateFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("is a directory") && error.ends_with("state/state"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    for name in ["state/", "none/"] {
        let path = format!("{}/{name}", directory.path().display());
        let error = StateFile::open(Path::new(&path)).unwrap_err().to_string();
        assert!(error.ends_with(&format!(" {path}state")), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn somebody_elses_file_is_refused_and_left_as_it_is() {
    for content in ["root:x:0:0\n", "#!/bin/sh\n", "gaoler-status", "\0\0\0"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwd");
        fs::write(&path, content).unwrap();
        let error = StateFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("no state of gaoler") && error.contains("name a file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing beside it");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::write(beside(&path, ".lock"), "").unwrap();
    let error = StateFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("no state of gaoler"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing beside it");
}

#[test]
fn a_state_behind_a_link_is_saved_where_the_link_leads() {
    let (directory, file) = fresh();
    save(&file, &[1]);
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(file.path(), &link).unwrap();
    drop(file);
    let file = StateFile::open(&link).unwrap();
    save(&file, &[2]);
    assert!(link.is_symlink());
    assert_eq!(load(&file).state, Some(vec![2]));
}

#[test]
fn a_state_whose_first_bytes_were_lost_keeps_nobody_from_starting() {
    for content in ["", "gaoler-", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
        let (_directory, file) = fresh();
        save(&file, &[1]);
        save(&file, &[2]);
        let path = file.path().to_path_buf();
        drop(file);
        fs::write(&path, content).unwrap();
        assert_eq!(load(&StateFile::open(&path).unwrap()).state, Some(vec![1]), "{content:?}");
    }
}

#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, file) = fresh();
    save(&file, &[1]);
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
}
