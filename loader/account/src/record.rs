//! One run, as the host tells of it.
//!
//! ```text
//! bls-load                               bls-account record
//!   starts it, with a socket ----------->  opens everything that it will write
//!                              <---------  "ready", or what is wrong, in a line
//!   the report so far, in a line ------->  what is settled from here on
//!   (the guest runs)
//!   the report, in a line -------------->  signs and writes
//!                              <---------  a byte; nothing, where something failed
//!   ends ------------------------------->  ends
//! ```
//!
//! The byte stays unread: a host behind its wall of system calls sees by `poll` that it came, and
//! by the other end's being closed that none will. Guarantees that a host which is gone without a
//! last word (it was killed) still gets its account, with `unfinished`, and that what is settled
//! at the beginning is what is written at the end.

use crate::metrics::{self, Metrics};
use crate::place;
use crate::receipt;
use crate::run::Run;
use crate::{Defect, Failure, sys};
use bls_artifact::key::PrivateKey;
use bls_artifact::text::printable;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest line, in bytes: reports are bounded, and far shorter.
const LINE_BYTES_MAX: u64 = receipt::BYTES_MAX;
/// Names that are tried for a receipt in a folder.
const NAMES_MAX: u32 = 10_000;

/// Where metrics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsTarget {
    /// Added to those in this file.
    File(PathBuf),
    /// Those of this run alone, to the open descriptor of this number.
    Descriptor(u32),
}

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Receipts, each with the file of the private key that signs it.
    pub receipts: Vec<(ReceiptTarget, PathBuf)>,
    /// Where metrics go.
    pub metrics: Vec<MetricsTarget>,
}

/// Where a receipt goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptTarget {
    /// This file, in the place of an earlier one.
    File(PathBuf),
    /// A file of its own in this folder.
    Folder(PathBuf),
}

/// Everything that is needed at the end, open.
#[derive(Debug)]
struct Books {
    receipts: Vec<(ReceiptTarget, PrivateKey)>,
    metrics: Vec<Counters>,
}

/// Where metrics go, open.
#[derive(Debug)]
enum Counters {
    File(PathBuf),
    Descriptor(u32, File),
}

impl Books {
    fn open(wanted: &Wanted) -> Result<Self, Failure> {
        let mut receipts = Vec::new();
        for (place, key) in &wanted.receipts {
            let key = place::private_key(key)?;
            match place {
                ReceiptTarget::File(path) => {
                    place::check_writable(path)?;
                    place::remove(path)?;
                }
                ReceiptTarget::Folder(folder) => place::check_writable(&folder.join("receipt"))?,
            }
            receipts.push((place.clone(), key));
        }
        let open = |target: &MetricsTarget| match target {
            MetricsTarget::File(path) => {
                place::check_writable(path)?;
                metrics::read_file(path)?;
                Ok(Counters::File(path.clone()))
            }
            MetricsTarget::Descriptor(number) => {
                let file = sys::descriptor(*number).map_err(|error| lost(*number, error))?;
                Ok(Counters::Descriptor(*number, file))
            }
        };
        let metrics = wanted.metrics.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { receipts, metrics })
    }

    /// Writes all of it, whatever becomes of one; the first failure.
    fn write(self, run: &Run) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let counted = Metrics::of(run, now);
        let counters = self.metrics.into_iter().map(|counters| match counters {
            Counters::File(path) => counted.clone().add_to_file(&path),
            Counters::Descriptor(number, mut file) => {
                let written = file.write_all(counted.to_text().as_bytes());
                written.map_err(|error| lost(number, error))
            }
        });
        let name = run.text("artifact/name").unwrap_or_default();
        let receipts = self.receipts.into_iter().map(|(place, key)| {
            let Some(bytes) = receipt::sign(run.clone(), now, &key) else { return Ok(()) };
            match place {
                ReceiptTarget::File(path) => place::replace(&path, &bytes),
                ReceiptTarget::Folder(folder) => write_in(&folder, name, now, &bytes),
            }
        });
        let all: Vec<_> = counters.chain(receipts).collect();
        all.into_iter().collect()
    }
}

/// Nothing can be written to a descriptor.
fn lost(number: u32, error: io::Error) -> Failure {
    let hint = "leave it open for writing: 3>>metrics";
    Failure::new(Defect::Unwritable, format_args!("descriptor {number}: {error}"), hint)
}

/// Makes a file of its own for a receipt.
fn write_in(folder: &Path, name: &str, now: u64, bytes: &[u8]) -> Result<(), Failure> {
    let host = std::os::unix::process::parent_id();
    for number in 0..NAMES_MAX {
        let path = folder.join(format!("{name}-{now}-{host}-{number}.json"));
        if place::create(&path, bytes)? {
            return Ok(());
        }
    }
    Err(place::unwritable(folder, "every name is taken"))
}

/// Keeps the account of one run, as the host on the other end tells of it.
///
/// # Errors
/// What could not be written at the end. (What is wrong at the beginning the host is told.)
pub fn record(socket: &UnixStream, wanted: &Wanted) -> Result<(), Failure> {
    let answer = |line: &str| (&mut &*socket).write_all(line.as_bytes());
    let books = match Books::open(wanted) {
        Ok(books) => books,
        Err(failure) => {
            let line = format!("{}\t{}\n", printable(&failure.what), failure.hint);
            // Whoever is gone does not hear it.
            let _ = answer(&line);
            return Ok(());
        }
    };
    let _ = answer("ready\n");
    let mut lines = BufReader::new(socket);
    let mut begin: Option<Run> = None;
    let end = loop {
        match (next(&mut lines)?, &begin) {
            (Some(run), None) if run.is_unfinished() => begin = Some(run),
            (Some(run), None) => break run,
            (Some(run), Some(begin)) => break end_of(begin, run)?,
            // The host was killed.
            (None, _) => match begin.take() {
                Some(begin) => break begin,
                None => return Ok(()),
            },
        }
    };
    books.write(&end)?;
    let _ = answer(".");
    // Until the host has seen it, and ends.
    let _ = lines.read(&mut [0]);
    Ok(())
}

/// The next report; none where the host has ended.
fn next(lines: &mut BufReader<&UnixStream>) -> Result<Option<Run>, Failure> {
    let mut line = Vec::new();
    let read = lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
    match read {
        Ok(_) if line.last() == Some(&b'\n') => Run::parse(&line).map(Some),
        // Half a line is a host that was killed while it wrote.
        Ok(_) if (line.len() as u64) < LINE_BYTES_MAX => Ok(None),
        Ok(_) => Err(Failure::new(Defect::Run, "a report without end", "this is a bug; report it")),
        Err(_) => Ok(None),
    }
}

fn end_of(begin: &Run, end: Run) -> Result<Run, Failure> {
    match end.is_end_of(begin) {
        Ok(()) => Ok(end),
        Err(field) => {
            let what = format!("the run that ended is not the one that began: {field} differs");
            let hint = "what it says cannot be believed: keep the artifact, and report this";
            Err(Failure::new(Defect::Run, what, hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const BEGIN: &str = r#"{"version":1,"outcome":{"kind":"unfinished"},"artifact":{"name":"app",
        "identity":"239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5"}}"#;

    struct Scene {
        folder: tempfile::TempDir,
        key: PrivateKey,
        wanted: Wanted,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::from_seed(&[9; 32]);
        let file = folder.path().join("key.pem");
        std::fs::write(&file, key.to_pem()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let wanted = Wanted {
            receipts: vec![(ReceiptTarget::File(folder.path().join("receipt.json")), file)],
            metrics: vec![MetricsTarget::File(folder.path().join("metrics.prom"))],
        };
        Scene { folder, key, wanted }
    }

    /// What the account of a host that says this is, and what the host hears.
    fn told(wanted: &Wanted, lines: &[String]) -> (Result<(), Failure>, String) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours).write_all(lines.concat().as_bytes()).unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let outcome = record(&theirs, wanted);
        drop(theirs);
        let mut heard = String::new();
        (&ours).read_to_string(&mut heard).unwrap();
        (outcome, heard)
    }

    fn line(text: &str) -> String {
        text.replace('\n', " ") + "\n"
    }

    #[test]
    fn a_run_from_its_beginning_to_its_end() {
        let scene = scene();
        std::fs::write(scene.folder.path().join("receipt.json"), "an earlier one").unwrap();
        let end = BEGIN.replace("unfinished", "exited");
        let (outcome, heard) = told(&scene.wanted, &[line(BEGIN), line(&end)]);
        outcome.unwrap();
        assert_eq!(heard, "ready\n.");
        let bytes = std::fs::read(scene.folder.path().join("receipt.json")).unwrap();
        let receipt = receipt::verify(&bytes, &scene.key.public()).unwrap();
        assert_eq!(receipt.run.text("outcome/kind"), Some("exited"));
        let text = std::fs::read_to_string(scene.folder.path().join("metrics.prom")).unwrap();
        assert!(text.contains("bls_runs_total{outcome=\"exited\"} 1\n"), "{text}");
    }

    #[test]
    fn a_host_that_is_killed_has_its_account() {
        let scene = scene();
        let (outcome, heard) = told(&scene.wanted, &[line(BEGIN), "{\"version\":1,".into()]);
        outcome.unwrap();
        assert_eq!(heard, "ready\n.");
        let bytes = std::fs::read(scene.folder.path().join("receipt.json")).unwrap();
        let receipt = receipt::verify(&bytes, &scene.key.public()).unwrap();
        assert!(receipt.run.is_unfinished());
        let nothing = told(&scene.wanted, &[]);
        assert!(nothing.0.is_ok() && nothing.1 == "ready\n");
    }

    #[test]
    fn what_was_settled_cannot_be_told_anew() {
        let scene = scene();
        let other = BEGIN.replace("unfinished", "exited").replace("\"app\"", "\"other\"");
        let (outcome, heard) = told(&scene.wanted, &[line(BEGIN), line(&other)]);
        let failure = outcome.unwrap_err();
        assert_eq!((failure.defect, &*heard), (Defect::Run, "ready\n"));
        assert!(failure.what.contains("artifact differs"), "{failure}");
        assert!(!scene.folder.path().join("receipt.json").exists());
    }

    #[test]
    fn what_is_wrong_is_said_before_there_is_a_run() {
        let scene = scene();
        let missing = scene.folder.path().join("missing");
        let (file, key) =
            (ReceiptTarget::File(missing.join("file")), scene.folder.path().join("key.pem"));
        let of = |place: ReceiptTarget, key: PathBuf| Wanted {
            receipts: vec![(place, key)],
            metrics: vec![],
        };
        let cases = [
            (of(file.clone(), missing.clone()), "No such file"),
            (of(file, key.clone()), "cannot write to"),
            (of(ReceiptTarget::Folder(missing), key), "cannot write to"),
        ];
        for (wanted, words) in cases {
            let (outcome, heard) = told(&wanted, &[]);
            assert!(outcome.is_ok() && heard.contains(words) && heard.contains('\t'), "{heard}");
        }
    }

    #[test]
    fn in_a_folder_each_receipt_has_its_own_name() {
        let scene = scene();
        let folder = scene.folder.path().join("receipts");
        std::fs::create_dir(&folder).unwrap();
        let key = scene.folder.path().join("key.pem");
        let receipts = vec![(ReceiptTarget::Folder(folder.clone()), key)];
        let wanted = Wanted { receipts, ..scene.wanted };
        for _ in 0..3 {
            told(&wanted, &[line(BEGIN)]).0.unwrap();
        }
        let all: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert_eq!(all.len(), 3);
    }
}
