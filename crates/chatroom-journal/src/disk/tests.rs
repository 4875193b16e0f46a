use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::contract::wait;

fn open(folder: &TempDir) -> DiskJournal {
    DiskJournal::open(DiskConfig::new(folder.path())).unwrap()
}

fn main() -> RoomName {
    RoomName::main()
}

fn record(sequence: u64) -> Record {
    Record { sequence: Sequence(sequence), bytes: Bytes::from(format!("record {sequence}")) }
}

fn part(key: &str, text: &'static str) -> Part {
    Part { key: key.to_owned(), bytes: Some(Bytes::from_static(text.as_bytes())) }
}

#[test]
fn passes_the_contract() {
    let folders = std::cell::RefCell::new(Vec::new());
    crate::contract::check(|| {
        let folder = TempDir::new().unwrap();
        let journal = open(&folder);
        folders.borrow_mut().push(folder);
        journal
    });
}

#[test]
fn what_was_acknowledged_is_there_when_it_is_opened_again() {
    let folder = TempDir::new().unwrap();
    for round in 0..5u64 {
        let journal = open(&folder);
        let last = Sequence(round * 10);
        let loaded = wait(journal.load(&main(), 0)).unwrap();
        assert_eq!((loaded.last, loaded.records.len() as u64), (last, round * 10));
        let appended = wait(journal.append(&main(), last, (1..=10).map(|n| record(last.0 + n)).collect()));
        assert_eq!(appended, Ok(Sequence(last.0 + 10)));
        // Every other time it is only dropped.
        if round % 2 == 0 {
            wait(journal.close()).unwrap();
        }
        drop(journal);
        wait_for_end(&folder);
    }
}

/// The threads of a dropped journal end by themselves; then the folder is free.
fn wait_for_end(folder: &TempDir) {
    while let Err(OpenError::Locked { .. }) = folder::Folder::open(&DiskConfig::new(folder.path())) {
        std::thread::yield_now();
    }
}

#[test]
fn a_second_server_is_refused() {
    let folder = TempDir::new().unwrap();
    let _journal = open(&folder);
    let error = DiskJournal::open(DiskConfig::new(folder.path())).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another server"), "{error}");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "all of it").unwrap();
    let error = DiskJournal::open(DiskConfig::new(folder.path())).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("chatroom-data"), "chatroom-data 7\n").unwrap();
    let error = DiskJournal::open(DiskConfig::new(folder.path())).unwrap_err();
    assert!(error.to_string().contains("data format 7; this one reads up to 1"), "{error}");
}

/// Puts something else in the place of a record or part.
fn overwrite(folder: &TempDir, key: Vec<u8>, value: Option<&[u8]>) {
    let store = store::Store::open(&folder.path().join("store")).unwrap();
    match value {
        Some(value) => store.keyspace.insert(key, value).unwrap(),
        None => store.keyspace.remove(key).unwrap(),
    }
    store.database.persist(fjall::PersistMode::SyncAll).unwrap();
}

#[track_caller]
fn check_damage(damage: impl FnOnce(&TempDir), loaded: &[&str], listed: &str) {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    wait(journal.append(&main(), Sequence(0), (1..=9).map(record).collect())).unwrap();
    wait(journal.save(&main(), vec![part("t/a", "1")], Sequence(3), Sequence(9))).unwrap();
    wait(journal.close()).unwrap();
    drop(journal);
    wait_for_end(&folder);
    damage(&folder);
    let journal = open(&folder);
    let JournalError::Corrupt(why) = wait(journal.load(&main(), 0)).unwrap_err() else { panic!("it was loaded") };
    for words in loaded {
        assert!(why.contains(words), "{words:?} is not in {why:?}");
    }
    // Others go on.
    let other = RoomName::parse("other").unwrap();
    assert_eq!(wait(journal.append(&other, Sequence(0), vec![record(1)])), Ok(Sequence(1)));
    wait(journal.close()).unwrap();
    drop(journal);
    wait_for_end(&folder);
    let mut records = 0;
    let report = walk(&DiskConfig::new(folder.path()), |walked| {
        records += u64::from(matches!(walked, Walked::Record(_)));
        Ok(())
    });
    let report = report.unwrap();
    assert_eq!((report.rooms, report.records), (2, records));
    let found: Vec<&str> = report.problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(found, [listed]);
}

#[test]
fn damage_is_named_and_never_skipped() {
    let key = |sequence| store::record_key(&main(), Sequence(sequence));
    check_damage(
        |folder| overwrite(folder, key(5), Some(b"rubbish")),
        &["the record 5 of the room main", "checksum", "chatroom check"],
        "the record 5: its checksum is wrong",
    );
    check_damage(
        |folder| overwrite(folder, key(6), None),
        &["the record before 7", "6 is missing"],
        "the record 6 is missing before 7",
    );
    check_damage(
        |folder| overwrite(folder, key(9), None),
        &["what came after 8", "go on to 9"],
        "the records end before 9",
    );
    check_damage(
        |folder| overwrite(folder, store::part_key(&main(), "t/a"), Some(b"x")),
        &["the part \"t/a\" of the room main", "shorter than its checksum"],
        "the part \"t/a\": it is shorter than its checksum",
    );
}

#[test]
fn a_torn_tail_is_cut() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    for n in 1..=20 {
        wait(journal.append(&main(), Sequence(n - 1), vec![record(n)])).unwrap();
    }
    // What a crash leaves, without the lock.
    let copy = TempDir::new().unwrap();
    copy_tree(folder.path(), copy.path());
    let log = newest_log(copy.path());
    let bytes = std::fs::read(&log).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    std::fs::write(&log, &bytes[..end - 20]).unwrap();
    let journal = open(&copy);
    assert!(!journal.was_ended());
    let loaded = wait(journal.load(&main(), 0)).unwrap();
    assert_eq!(loaded.last, Sequence(19), "the last batch is gone as a whole");
    assert_eq!(wait(journal.append(&main(), Sequence(19), vec![record(20)])), Ok(Sequence(20)));
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn newest_log(folder: &std::path::Path) -> PathBuf {
    let logs = std::fs::read_dir(folder.join("store")).unwrap().flatten().map(|entry| entry.path());
    logs.filter(|path| path.extension().is_some_and(|it| it == "jnl")).max().unwrap()
}

#[test]
fn a_full_disk_takes_nothing_until_it_has_room() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    wait(journal.append(&main(), Sequence(0), vec![record(1), record(2)])).unwrap();
    journal.set_min_free_bytes(u64::MAX);
    let JournalError::Full(why) = wait(journal.append(&main(), Sequence(2), vec![record(3)])).unwrap_err() else {
        panic!("it was taken");
    };
    assert!(why.contains("MiB free"), "{why}");
    assert!(matches!(wait(journal.save(&main(), vec![], Sequence(1), Sequence(2))), Err(JournalError::Full(_))));
    assert_eq!(wait(journal.load(&main(), 0)).map(|it| it.records.len()), Ok(2));
    assert_eq!(wait(journal.trim(&main(), Sequence(1))), Ok(()));
    journal.set_min_free_bytes(0);
    assert_eq!(wait(journal.append(&main(), Sequence(2), vec![record(3)])), Ok(Sequence(3)));
}

#[test]
fn what_waits_goes_in_one_batch() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    let appends: Vec<_> = (0..500).map(|n| journal.append(&main(), Sequence(n), vec![record(n + 1)])).collect();
    for (n, append) in (1..).zip(appends) {
        assert_eq!(wait(append), Ok(Sequence(n)));
    }
    let syncs = journal.stats().unwrap().syncs.load(Ordering::Relaxed);
    assert!(syncs < 250, "{syncs} syncs for 500 appends");
    assert_eq!(journal.stats().unwrap().queued.load(Ordering::Relaxed), 0);
}

#[test]
fn only_written_is_lost_with_the_power_alone() {
    let folder = TempDir::new().unwrap();
    let config = DiskConfig { durability: Durability::Written, ..DiskConfig::new(folder.path()) };
    let journal = DiskJournal::open(config.clone()).unwrap();
    assert!(journal.was_ended() && !journal.may_have_lost());
    wait(journal.append(&main(), Sequence(0), vec![record(1)])).unwrap();
    let copy = TempDir::new().unwrap();
    copy_tree(folder.path(), copy.path());
    let killed = DiskJournal::open(DiskConfig { folder: copy.path().into(), ..config }).unwrap();
    assert!(!killed.was_ended() && !killed.may_have_lost(), "the machine went on");
    assert_eq!(wait(killed.load(&main(), 0)).map(|it| it.records), Ok(vec![record(1)]));
    drop(killed);
    wait_for_end(&copy);
    let copy = TempDir::new().unwrap();
    copy_tree(folder.path(), copy.path());
    std::fs::write(copy.path().join("running"), "written another-start\n").unwrap();
    let lost = DiskJournal::open(DiskConfig { folder: copy.path().into(), ..config }).unwrap();
    assert!(lost.may_have_lost());
}

#[test]
fn what_is_walked_can_be_imported() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    wait(journal.append(&main(), Sequence(0), (1..=9).map(record).collect())).unwrap();
    wait(journal.save(&main(), vec![part("t/a", "1"), part("c/1", "x")], Sequence(4), Sequence(9))).unwrap();
    wait(journal.trim(&main(), Sequence(2))).unwrap();
    let other = RoomName::parse("other").unwrap();
    wait(journal.append(&other, Sequence(0), vec![record(1)])).unwrap();
    let before = [main(), other.clone()].map(|room| wait(journal.load(&room, 100)).unwrap());
    wait(journal.close()).unwrap();
    drop(journal);
    wait_for_end(&folder);
    let mut all = Vec::new();
    let walked = walk(&DiskConfig::new(folder.path()), |one| {
        all.push(one);
        Ok(())
    });
    let copy = TempDir::new().unwrap();
    let mut rest = all.into_iter();
    let imported = import(&DiskConfig::new(copy.path()), || Ok(rest.next()));
    assert_eq!(walked.unwrap(), imported.unwrap());
    let journal = open(&copy);
    assert_eq!([main(), other].map(|room| wait(journal.load(&room, 100)).unwrap()), before);
}
