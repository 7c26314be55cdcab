//! The command line.
//!
//! `bls-account record` is for a host; `bls-account verify` is for people, who also type
//! `bls-load verify-receipt`, which hands over to it. Only this module prints and ends the
//! process.

use crate::receipt::{self, BYTES_MAX, Receipt};
use crate::record::{MetricsTarget, ReceiptTarget, Wanted, record};
use crate::run::Run;
use crate::{Defect, Failure, place, sys};
use bls_artifact::artifact::Contents;
use bls_artifact::digest::{Hasher, Sha256};
use bls_artifact::envelope::Envelope;
use bls_artifact::text::{printable, printable_path};
use lexopt::{Arg, Parser};
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code of a refusal.
const REFUSED: u8 = 1;
/// Exit code of a command line that is none.
const USAGE: u8 = 2;

const HELP: &str = "\
Metrics of runs, and signed receipts for them.

Usage: bls-account verify [OPTIONS] <RECEIPT> --key <PUBLIC KEY>
       bls-account record [OPTIONS]
       bls-account --help | --version

  verify   says what a receipt says, where its signature is good;
           bls-load verify-receipt is the same
      --key <FILE>       the public key of whose receipt it is: PEM, or a line
                         of OpenSSH's
      --artifact <FILE>  it must be about this artifact
      --stdin <FILE>     the guest must have read just this
      --stdout <FILE>    the guest must have written just this
      --stderr <FILE>    the same of standard error
      --json             the report that was signed, as JSON
  record   keeps the account of the run that the host behind the socket on
           standard input tells of; bls-load starts it, for --metrics and
           --receipt

Exit codes: 0 it is good, 1 refused, 2 usage
Example:
  bls-account verify receipt.json --key node.pub --artifact app.bls
";

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("bls-account: {}", printable(&failure.what));
            eprintln!("hint: {}", failure.hint);
            eprintln!("code: {}", failure.defect.code());
            ExitCode::from(if failure.defect == Defect::Usage { USAGE } else { REFUSED })
        }
    }
}

fn usage(what: impl fmt::Display) -> Failure {
    Failure::new(Defect::Usage, what, "bls-account --help")
}

fn malformed(error: lexopt::Error) -> Failure {
    usage(error)
}

fn run() -> Result<ExitCode, Failure> {
    let mut parser = Parser::from_env();
    match parser.next().map_err(malformed)? {
        Some(Arg::Value(word)) if word == "record" => keep(&mut parser),
        Some(Arg::Value(word)) if word == "verify" => verify(&mut parser),
        Some(Arg::Long("help") | Arg::Short('h')) => say(HELP),
        Some(Arg::Value(word)) if word == "help" => say(HELP),
        Some(Arg::Long("version") | Arg::Short('V')) => {
            say(concat!("bls-account ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        None => Err(usage("a command is wanted: verify or record")),
        Some(other) => Err(malformed(other.unexpected())),
    }
}

/// Prints on standard output; a reader that has gone is no failure.
fn say(text: &str) -> Result<ExitCode, Failure> {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn keep(parser: &mut Parser) -> Result<ExitCode, Failure> {
    let mut wanted = Wanted::default();
    let mut place = None;
    while let Some(argument) = parser.next().map_err(malformed)? {
        match argument {
            Arg::Long("receipt") => place = Some(ReceiptTarget::File(path(parser)?)),
            Arg::Long("receipts") => place = Some(ReceiptTarget::Folder(path(parser)?)),
            Arg::Long("key") => {
                let place = place.take().ok_or_else(|| usage("--key is of a --receipt"))?;
                wanted.receipts.push((place, path(parser)?));
            }
            Arg::Long("metrics") => wanted.metrics.push(metrics(path(parser)?)?),
            Arg::Long("help") | Arg::Short('h') => return say(HELP),
            other => return Err(malformed(other.unexpected())),
        }
    }
    if place.is_some() {
        return Err(usage("a receipt is to be signed: --key FILE behind it"));
    }
    sys::block_signals();
    let no_socket = |_| {
        let what = "record is for a host: standard input is no stream socket of it";
        let hint = "bls-load starts it where there are metrics or a receipt to write";
        Failure::new(Defect::NoSocket, what, hint)
    };
    let stdin = std::io::stdin();
    rustix::net::sockopt::socket_type(stdin.as_fd()).map_err(no_socket)?;
    let socket = stdin.as_fd().try_clone_to_owned().map(UnixStream::from);
    let socket = socket.map_err(|_| no_socket(rustix::io::Errno::BADF))?;
    record(&socket, &wanted)?;
    Ok(ExitCode::SUCCESS)
}

/// A file, or `fd:N`.
fn metrics(word: PathBuf) -> Result<MetricsTarget, Failure> {
    let number = word.to_str().and_then(|word| word.strip_prefix("fd:"));
    match number.map(str::parse::<u32>) {
        None => Ok(MetricsTarget::File(word)),
        Some(Ok(number)) => Ok(MetricsTarget::Descriptor(number)),
        Some(Err(_)) => Err(usage("--metrics fd:N takes the number of an open descriptor")),
    }
}

fn path(parser: &mut Parser) -> Result<PathBuf, Failure> {
    Ok(parser.value().map_err(malformed)?.into())
}

/// What a receipt is compared with.
#[derive(Debug, Default)]
struct Beside {
    artifact: Option<PathBuf>,
    streams: Vec<(&'static str, PathBuf)>,
}

fn verify(parser: &mut Parser) -> Result<ExitCode, Failure> {
    let (mut file, mut key, mut json) = (None, None, false);
    let mut beside = Beside::default();
    while let Some(argument) = parser.next().map_err(malformed)? {
        match argument {
            Arg::Long("key") => key = Some(path(parser)?),
            Arg::Long("artifact") => beside.artifact = Some(path(parser)?),
            Arg::Long("stdin") => beside.streams.push(("stdin", path(parser)?)),
            Arg::Long("stdout") => beside.streams.push(("stdout", path(parser)?)),
            Arg::Long("stderr") => beside.streams.push(("stderr", path(parser)?)),
            Arg::Long("json") => json = true,
            Arg::Long("help") | Arg::Short('h') => return say(HELP),
            Arg::Value(word) if file.is_none() => file = Some(PathBuf::from(word)),
            other => return Err(malformed(other.unexpected())),
        }
    }
    let file = file.ok_or_else(|| usage("no receipt is named"))?;
    let key = key.ok_or_else(|| usage("whose receipt it is to be is not said: --key FILE"))?;
    let receipt = receipt::verify(&place::read(&file, BYTES_MAX)?, &place::public_key(&key)?)?;
    beside.compare(&receipt)?;
    match json {
        true => say(&format!("{}\n", receipt.run.into_json())),
        false => say(&shown(&receipt)),
    }
}

impl Beside {
    fn compare(&self, receipt: &Receipt) -> Result<(), Failure> {
        let differs = |what: String, hint| Failure::new(Defect::Differs, what, hint);
        if let Some(path) = &self.artifact {
            let bytes = place::read(path, u64::MAX - 1)?;
            let identity = identity(&bytes).ok_or_else(|| {
                differs(format!("{} is no artifact", printable_path(path)), "name a .bls file")
            })?;
            if identity != receipt.identity {
                let what = format!(
                    "the receipt is about sha256:{}, and {} is sha256:{identity}",
                    receipt.identity,
                    printable_path(path)
                );
                return Err(differs(what, "take the artifact that ran"));
            }
        }
        for (stream, path) in &self.streams {
            let (bytes, digest) = digest_of(path)?;
            let said = receipt.run.text(&format!("digests/{stream}/sha256"));
            let said = said.ok_or_else(|| {
                let what = format!("the receipt does not say what went through {stream}");
                differs(what, "a run that the clock or a signal ended has no such digests")
            })?;
            if said != digest.to_string() {
                let length = receipt.run.number(&format!("digests/{stream}/bytes"));
                let what = format!(
                    "{} ({bytes} bytes) is not what went through {stream} ({} bytes)",
                    printable_path(path),
                    length.unwrap_or_default()
                );
                return Err(differs(what, "take what the guest itself read or wrote, all of it"));
            }
        }
        Ok(())
    }
}

/// The identity of an artifact: the digest of its signed payload.
fn identity(bytes: &[u8]) -> Option<Sha256> {
    let (contents, _) = Contents::parse(bytes).ok()?;
    Some(Envelope::parse(contents.envelope).ok()?.identity())
}

fn digest_of(path: &Path) -> Result<(u64, Sha256), Failure> {
    let unreadable = |error| {
        let what = format!("cannot read {}: {error}", printable_path(path));
        Failure::new(Defect::Unreadable, what, "name a file that you can read")
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut hasher, mut buffer, mut bytes) = (Hasher::default(), vec![0; 1 << 16], 0);
    loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => return Ok((bytes, hasher.finish())),
            read => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// A receipt, for people.
fn shown(receipt: &Receipt) -> String {
    let run = &receipt.run;
    let name = run.text("artifact/name").unwrap_or_default();
    let mut text = format!("{name}: {}\n", how_it_ended(run));
    let mut line = |label: &str, value: String| text += &format!("  {label:<10} {value}\n");
    line("artifact", format!("sha256:{}", receipt.identity));
    line("signed by", receipt.key_id.to_string());
    match &receipt.finished {
        Some(finished) => line("finished", finished.clone()),
        None => line("finished", "not said: by rule the run is the same at any time".to_owned()),
    }
    match (run.fuel(), run.number("fuel/consumed")) {
        (Some(units), Some(_)) => line("fuel", format!("{units} units")),
        (Some(units), None) => line("fuel", format!("at least {units} units")),
        (None, _) => line("fuel", "not metered".to_owned()),
    }
    for stream in ["stdin", "stdout", "stderr"] {
        let bytes = run.number(&format!("digests/{stream}/bytes"));
        let digest = run.text(&format!("digests/{stream}/sha256"));
        if let (Some(bytes), Some(digest)) = (bytes, digest) {
            line(stream, format!("sha256:{digest}, {bytes} bytes"));
        }
    }
    printable_text(&text)
}

/// What others chose, line by line, without what a terminal would obey.
fn printable_text(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

fn how_it_ended(run: &Run) -> String {
    match run.text("outcome/kind").unwrap_or_default() {
        "exited" => format!("exited with {}", run.number("outcome/exit_code").unwrap_or_default()),
        "trap" => format!("trapped: {}", run.text("outcome/trap/kind").unwrap_or_default()),
        "limit" => format!("stopped by its limit on {}", run.text("outcome/limit").unwrap_or("")),
        "signal" => format!("ended by signal {}", run.number("outcome/signal").unwrap_or_default()),
        "out-of-fuel" => "out of fuel".to_owned(),
        "unfinished" => "unfinished: the host was killed".to_owned(),
        other => match run.text("outcome/error/code") {
            Some(code) => format!("{other}: {code}"),
            None => other.to_owned(),
        },
    }
}
