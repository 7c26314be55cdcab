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
    /// The file of the receipt.
    pub receipt: Option<PathBuf>,
    /// A folder that gets each receipt under a name of its own.
    pub receipts: Option<PathBuf>,
    /// The private key that signs it.
    pub key: Option<PathBuf>,
    /// Where metrics go.
    pub metrics: Option<MetricsTarget>,
}

/// Everything that is needed at the end, open.
#[derive(Debug)]
struct Books {
    wanted: Wanted,
    key: Option<PrivateKey>,
    descriptor: Option<std::fs::File>,
}

impl Books {
    fn open(wanted: &Wanted) -> Result<Self, Failure> {
        let key = wanted.key.as_deref().map(place::private_key).transpose()?;
        let is_receipt = wanted.receipt.is_some() || wanted.receipts.is_some();
        if is_receipt && key.is_none() {
            let hint = "name the key that signs it: --receipt-key FILE";
            return Err(Failure::new(Defect::Usage, "a receipt is to be signed", hint));
        }
        if let Some(path) = &wanted.receipt {
            place::check_writable(path)?;
            place::remove(path)?;
        }
        if let Some(folder) = &wanted.receipts {
            place::check_writable(&folder.join("receipt"))?;
        }
        let descriptor = match &wanted.metrics {
            None => None,
            Some(MetricsTarget::File(path)) => {
                place::check_writable(path)?;
                metrics::read_file(path).map(|_| None)?
            }
            Some(MetricsTarget::Descriptor(number)) => {
                Some(sys::descriptor(*number).map_err(|error| lost(*number, error))?)
            }
        };
        Ok(Self { wanted: wanted.clone(), key, descriptor })
    }

    fn write(&mut self, run: Run) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let metrics = Metrics::of(&run, now);
        match (&self.wanted.metrics, &mut self.descriptor) {
            (Some(MetricsTarget::File(path)), _) => metrics.add_to_file(path)?,
            (Some(MetricsTarget::Descriptor(number)), Some(file)) => file
                .write_all(metrics.to_text().as_bytes())
                .map_err(|error| lost(*number, error))?,
            _ => {}
        }
        let Some(key) = &self.key else { return Ok(()) };
        let name = run.text("artifact/name").unwrap_or_default().to_owned();
        let Some(bytes) = receipt::sign(run, now, key) else { return Ok(()) };
        if let Some(path) = &self.wanted.receipt {
            place::replace(path, &bytes)?;
        }
        match &self.wanted.receipts {
            Some(folder) => write_in(folder, &name, now, &bytes),
            None => Ok(()),
        }
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
    let mut books = match Books::open(wanted) {
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
    books.write(end)?;
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

    struct Place {
        folder: tempfile::TempDir,
        key: PrivateKey,
        wanted: Wanted,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::from_seed(&[9; 32]);
        let file = folder.path().join("key.pem");
        std::fs::write(&file, key.to_pem()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let wanted = Wanted {
            receipt: Some(folder.path().join("receipt.json")),
            receipts: None,
            key: Some(file),
            metrics: Some(MetricsTarget::File(folder.path().join("metrics.prom"))),
        };
        Place { folder, key, wanted }
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
        let place = place();
        std::fs::write(place.wanted.receipt.as_ref().unwrap(), "an earlier one").unwrap();
        let end = BEGIN.replace("unfinished", "exited");
        let (outcome, heard) = told(&place.wanted, &[line(BEGIN), line(&end)]);
        outcome.unwrap();
        assert_eq!(heard, "ready\n.");
        let bytes = std::fs::read(place.folder.path().join("receipt.json")).unwrap();
        let receipt = receipt::verify(&bytes, &place.key.public()).unwrap();
        assert_eq!(receipt.run.text("outcome/kind"), Some("exited"));
        let text = std::fs::read_to_string(place.folder.path().join("metrics.prom")).unwrap();
        assert!(text.contains("bls_runs_total{outcome=\"exited\"} 1\n"), "{text}");
    }

    #[test]
    fn a_host_that_is_killed_has_its_account() {
        let place = place();
        let (outcome, heard) = told(&place.wanted, &[line(BEGIN), "{\"version\":1,".into()]);
        outcome.unwrap();
        assert_eq!(heard, "ready\n.");
        let bytes = std::fs::read(place.folder.path().join("receipt.json")).unwrap();
        let receipt = receipt::verify(&bytes, &place.key.public()).unwrap();
        assert!(receipt.run.is_unfinished());
        let nothing = told(&place.wanted, &[]);
        assert!(nothing.0.is_ok() && nothing.1 == "ready\n");
    }

    #[test]
    fn what_was_settled_cannot_be_told_anew() {
        let place = place();
        let other = BEGIN.replace("unfinished", "exited").replace("\"app\"", "\"other\"");
        let (outcome, heard) = told(&place.wanted, &[line(BEGIN), line(&other)]);
        let failure = outcome.unwrap_err();
        assert_eq!((failure.defect, &*heard), (Defect::Run, "ready\n"));
        assert!(failure.what.contains("artifact differs"), "{failure}");
        assert!(!place.folder.path().join("receipt.json").exists());
    }

    #[test]
    fn what_is_wrong_is_said_before_there_is_a_run() {
        let place = place();
        let nowhere = Some(place.folder.path().join("missing/receipt.json"));
        let cases = [
            (Wanted { key: None, ..place.wanted.clone() }, "is to be signed"),
            (Wanted { key: nowhere.clone(), ..place.wanted.clone() }, "No such file"),
            (Wanted { receipt: nowhere.clone(), ..place.wanted.clone() }, "cannot write to"),
            (Wanted { receipts: nowhere, ..place.wanted.clone() }, "cannot write to"),
        ];
        for (wanted, words) in cases {
            let (outcome, heard) = told(&wanted, &[]);
            assert!(outcome.is_ok() && heard.contains(words) && heard.contains('\t'), "{heard}");
        }
    }

    #[test]
    fn in_a_folder_each_receipt_has_its_own_name() {
        let place = place();
        let folder = place.folder.path().join("receipts");
        std::fs::create_dir(&folder).unwrap();
        let wanted =
            Wanted { receipt: None, receipts: Some(folder.clone()), ..place.wanted.clone() };
        for _ in 0..3 {
            told(&wanted, &[line(BEGIN)]).0.unwrap();
        }
        let all: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert_eq!(all.len(), 3);
    }
}
