//! Keeps the shared target directories from growing with every clone.
//!
//! Dependencies are built once for all clones, but the workspace's own crates once for each:
//! about a gigabyte per clone. The oldest of those go when all together are too large; cargo
//! builds again what it then misses.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::fingerprint::collect;
use crate::paths::Paths;

/// For the workspace's own artefacts in both target directories.
const MAX_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// How cargo names the artefacts of this workspace: crates, binaries, the whole-system test.
const OWN: &[&str] = &[
    "letterlock",
    "libletterlock",
    "app-",
    "worker-",
    "xtask-",
    "it-",
];
/// Clones whose programs are kept.
const MAX_CLONES: usize = 6;

/// Something that can be removed as a whole: a file, or a directory of incremental compilation.
#[derive(Debug)]
struct Artefact {
    modified: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// Removes the oldest; only below our own cache directory.
pub(crate) fn prune(paths: &Paths) {
    let mut artefacts = Vec::new();
    for target in [&paths.target, &paths.target_wasm] {
        if !target.starts_with(&paths.cache) {
            continue;
        }
        // target/<profile> and target/<triple>/<profile>.
        for directory in children(target) {
            add_profile(&directory, &mut artefacts);
            for profile in children(&directory) {
                add_profile(&profile, &mut artefacts);
            }
        }
    }
    for artefact in surplus(artefacts, MAX_BYTES) {
        remove(&artefact.path);
    }
    let mut programs = Vec::new();
    for clone in children(&paths.cache.join("programs")) {
        programs.extend(artefact(clone));
    }
    programs.sort_by_key(|program| std::cmp::Reverse(program.modified));
    for program in programs.iter().skip(MAX_CLONES) {
        remove(&program.path);
    }
}

fn add_profile(profile: &Path, artefacts: &mut Vec<Artefact>) {
    for room in ["deps", "incremental"] {
        for path in children(&profile.join(room)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if OWN.iter().any(|prefix| name.starts_with(prefix)) {
                artefacts.extend(artefact(path));
            }
        }
    }
}

/// The oldest artefacts, those beyond `limit` bytes of newer ones.
fn surplus(mut artefacts: Vec<Artefact>, limit: u64) -> Vec<Artefact> {
    artefacts.sort_by_key(|artefact| std::cmp::Reverse(artefact.modified));
    let mut total = 0;
    artefacts.retain(|artefact| {
        total += artefact.bytes;
        total > limit
    });
    artefacts
}

/// `None` if it is gone meanwhile: another cargo may be at work.
fn artefact(path: PathBuf) -> Option<Artefact> {
    let modified = fs::metadata(&path).ok()?.modified().ok()?;
    let mut files = Vec::new();
    collect(&path, &mut files).ok()?;
    let bytes = files
        .iter()
        .filter_map(|file| Some(fs::metadata(file).ok()?.len()))
        .sum();
    Some(Artefact {
        modified,
        bytes,
        path,
    })
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// What can not be removed stays: this is housekeeping, and no reason to fail.
fn remove(path: &Path) {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = removed {
        println!("    can not remove {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_newest_are_kept() {
        let artefact = |age: u64, bytes| Artefact {
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(100 - age),
            bytes,
            path: PathBuf::from(age.to_string()),
        };
        let names = |limit| -> Vec<String> {
            let all = vec![artefact(3, 10), artefact(1, 10), artefact(2, 10)];
            let gone = surplus(all, limit);
            gone.iter()
                .map(|artefact| artefact.path.display().to_string())
                .collect()
        };
        assert_eq!(names(30), Vec::<String>::new());
        assert_eq!(names(20), ["3"]);
        assert_eq!(names(9), ["1", "2", "3"]);
    }
}
