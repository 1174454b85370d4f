//! SIGKILL at random moments of a process that writes snapshots all the time, while sessions begin and end.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::*;

/// Where the other process keeps its sessions. Without it, that test has nothing to do.
const PATH: &str = "PORTCULLIS_TEST_SNAPSHOT";

/// The process that is killed. It prints what has happened.
#[test]
#[expect(clippy::disallowed_methods, reason = "the other test passes the path")]
#[expect(clippy::print_stdout, reason = "the other test reads it")]
fn process_that_is_killed() {
    let Ok(folder) = std::env::var(PATH) else { return };
    let process = Disk::at(folder.into()).start();
    for number in 0..150 {
        println!("stays {}", hex(process.sign_in(&format!("stays-{number}"))));
    }
    let mut open: Vec<_> = (0..50).map(|n| process.sign_in(&format!("first-{n}"))).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1_u32.. {
                process.write().unwrap();
                println!("written {number}");
            }
        });
        for number in 0_u32.. {
            let key = open.swap_remove(number as usize * 7 % open.len());
            process.sign_out(key);
            process.snapshot.record_ended();
            println!("ended {}", hex(key));
            open.push(process.sign_in(&format!("next-{number}")));
        }
    });
}

#[test]
fn process_killed_at_any_moment_leaves_a_whole_snapshot_without_sessions_that_ended() {
    for round in 0..20 {
        let disk = Disk::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "session::snapshot::tests::kill::process_that_is_killed"])
            .arg("--nocapture")
            .env(PATH, &disk.folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut seen: Vec<String> = Vec::new();
        while seen.iter().filter(|line| line.starts_with("written")).count() < 2 + round % 3 {
            seen.push(lines.next().unwrap());
        }
        // A different moment of the next snapshot each time.
        seen.extend(lines.by_ref().take(13 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        seen.extend(lines);
        let keys = |word| -> BTreeSet<_> {
            seen.iter().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
        };
        let (ended, stays) = (keys("ended "), keys("stays "));
        assert!(ended.len() > 2 && stays.len() == 150);
        let process = disk.start();
        let alive: BTreeSet<_> = process.table.all().iter().map(|one| hex(one.key())).collect();
        assert!(alive.is_superset(&stays), "{:?}", process.found);
        let back = ended.intersection(&alive).count();
        assert_eq!(back, 0, "of {} sessions that ended", ended.len());
    }
}

fn hex(key: SessionKey) -> String {
    key.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
