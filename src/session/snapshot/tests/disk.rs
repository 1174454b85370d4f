//! Files that are cut, damaged, foreign, of another version or of another process, and disks that fail.

use super::*;

/// Checks that a file is put aside, unchanged, and that sessions start empty.
#[track_caller]
fn check_rejected(disk: &Disk, reason: &str) {
    let bytes = content(disk.path());
    let process = disk.start();
    assert_eq!(process.reason(), reason);
    assert!(process.table.is_empty());
    let SnapshotFound::Rejected { aside, .. } = &process.found else { panic!() };
    assert_eq!(content(aside), bytes);
    assert!(!disk.path().exists());
    let key = process.sign_in("dave");
    process.stop();
    assert_eq!(disk.start().has(&[key]), [true]);
}

const DAMAGED: &str = "it is damaged or incomplete";

#[test]
fn file_that_is_cut_anywhere_is_put_aside() {
    let (disk, _) = Disk::with_sessions();
    let (whole, ended) = (content(disk.path()), content(disk.with(".ended")));
    let random: [u8; 16] = crate::random::bytes();
    let places = random.map(|byte| 70 + usize::from(byte) * (whole.len() - 70) / 256);
    for length in (0..70).chain(places).chain([whole.len() - 1]) {
        for name in disk.names() {
            fs::remove_file(disk.folder.join(name)).unwrap();
        }
        fs::write(disk.path(), &whole[..length]).unwrap();
        fs::write(disk.with(".ended"), &ended).unwrap();
        let process = disk.start();
        let expected = if length < 69 { "it ends in its header" } else { DAMAGED };
        assert_eq!(process.reason(), expected, "{length}");
        assert!(process.table.is_empty());
        assert_eq!(content(disk.with(".rejected")), &whole[..length]);
        assert!(disk.with(".rejected.ended").exists());
    }
}

#[test]
fn damaged_foreign_older_or_newer_file_is_put_aside_with_its_reason() {
    let damage = |change: fn(&mut Vec<u8>)| {
        let (disk, _) = Disk::with_sessions();
        let mut bytes = content(disk.path());
        change(&mut bytes);
        fs::write(disk.path(), bytes).unwrap();
        disk
    };
    check_rejected(&damage(|bytes| *bytes.last_mut().unwrap() ^= 1), DAMAGED);
    check_rejected(&damage(|bytes| bytes.push(0)), DAMAGED);
    let format = |format| format!("it has the format {format}, this version reads the format 1");
    check_rejected(&damage(|bytes| bytes[20] = 2), &format(2));
    check_rejected(&damage(|bytes| bytes[20] = 0), &format(0));
    check_rejected(
        &damage(|bytes| *bytes = b"sessions: []".to_vec()),
        "it is another kind of file",
    );
    let (mut disk, _) = Disk::with_sessions();
    disk.secrets = vec!["another"];
    check_rejected(&disk, "session.secret does not list the secret that it was written with");
    let (disk, _) = Disk::with_sessions();
    fs::remove_file(disk.with(".ended")).unwrap();
    check_rejected(
        &disk,
        "the file of sessions that ended since, with the same name and .ended, is missing",
    );
}

#[test]
fn session_of_another_version_rejects_the_whole_file() {
    let (disk, _) = Disk::with_sessions();
    let process = disk.start();
    let prepared = process.snapshot.files.prepare(|file| {
        let header = StreamHeader::new(process.clock.unix(), &process.source.roots);
        let mut writer = SealingWriter::new(file, header, &process.source.roots)?;
        for session in process.table.all() {
            let mut bytes = Vec::new();
            encode(&session, &session.data(), Timeline::now(&process.clock), &mut bytes)?;
            bytes[0] = if session.data().identity.subject.starts_with('b') { 2 } else { 1 };
            writer.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes())?;
            writer.write_all(&bytes)?;
        }
        writer.finish()
    });
    prepared.unwrap().replace().unwrap();
    drop(process);
    check_rejected(&disk, "a session has the format 2, this version reads the format 1");
}

#[test]
fn files_put_aside_are_kept_up_to_a_number() {
    let (mut disk, _) = Disk::with_sessions();
    let first = content(disk.path());
    for number in 0_u8..8 {
        disk.secrets = vec![["a", "b"][usize::from(number % 2)]];
        let process = disk.start();
        process.reason();
        process.stop();
    }
    let aside = disk.names().into_iter().filter(|name| name.contains("rejected"));
    assert_eq!(aside.filter(|name| !name.ends_with(".ended")).count(), 5);
    assert_eq!(content(disk.with(".rejected")), first);
    // Moved back with the file that belongs to it, it is read.
    fs::rename(disk.with(".rejected"), disk.path()).unwrap();
    fs::rename(disk.with(".rejected.ended"), disk.with(".ended")).unwrap();
    disk.secrets = vec!["secret"];
    assert_eq!(disk.start().table.len(), 3);
}

#[test]
fn second_process_gets_nothing_and_writes_nothing() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    let before = content(disk.path());
    assert!(matches!(disk.try_start(&Clock::manual()), Err(SnapshotError::InUse)));
    assert_eq!(content(disk.path()), before);
    process.stop();
    assert_eq!(disk.start().has(&keys), [true; 3]);
}

#[test]
fn folder_that_is_missing_or_a_folder_in_place_of_the_file_is_an_error_and_stays() {
    let disk = Disk::new();
    fs::create_dir_all(disk.path().join("inside")).unwrap();
    assert!(matches!(disk.try_start(&Clock::manual()), Err(SnapshotError::Io(_))));
    assert!(disk.path().join("inside").exists());
    let disk = Disk::at(disk.folder.join("missing"));
    assert!(matches!(disk.try_start(&Clock::manual()), Err(SnapshotError::Io(_))));
}

#[test]
fn snapshot_that_cannot_be_written_leaves_the_last_one() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    let before = content(disk.path());
    process.sign_out(keys[0]);
    fs::create_dir_all(disk.with(".tmp").join("inside")).unwrap();
    process.snapshot.write_if_changed(&process.source);
    assert!(process.metrics.is_snapshot_failing());
    assert_eq!(content(disk.path()), before);
    fs::remove_dir_all(disk.with(".tmp")).unwrap();
    // Every write of the next one fails once, and nothing of it stays.
    for room in 0..before.len().min(100) {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let failed = process.snapshot.files.prepare(|mut file| {
            file.write_all(&vec![0; room])?;
            Err(full())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(content(disk.path()), before);
        assert!(!disk.with(".tmp").exists());
    }
    process.snapshot.write_if_changed(&process.source);
    assert!(!process.metrics.is_snapshot_failing());
    process.crash();
    assert_eq!(disk.start().has(&keys), [false, true, true]);
}

#[test]
fn snapshot_is_removed_if_the_end_of_a_session_cannot_be_recorded() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    let full = File::options().read(true).write(true).open("/dev/full").unwrap();
    let working = std::mem::replace(&mut *lock(&process.snapshot.ended), EndedFile::on(full));
    process.sign_out(keys[0]);
    process.snapshot.record_ended();
    assert!(!disk.path().exists() && process.metrics.is_snapshot_failing());
    *lock(&process.snapshot.ended) = working;
    process.snapshot.write_if_changed(&process.source);
    process.crash();
    assert_eq!(disk.start().has(&keys), [false, true, true]);
}

#[test]
fn snapshot_under_way_is_dropped_if_the_end_of_a_session_cannot_be_recorded() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    let full = File::options().read(true).write(true).open("/dev/full").unwrap();
    *lock(&process.snapshot.ended) = EndedFile::on(full);
    let mark = lock(&process.snapshot.ended).mark();
    process.sign_out(keys[0]);
    process.snapshot.record_ended();
    assert!(!lock(&process.snapshot.ended).is_complete_since(mark));
    assert!(!disk.path().exists());
}
