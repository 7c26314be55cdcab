//! The commands, one file each.

mod binfmt;
mod ext;
mod gc;
mod install;
mod list;
mod receipt;
mod remove;
mod rollback;
pub(crate) mod run;
mod trust;
mod verify;

use crate::built::{self, NotBuilt};
use crate::clock::clock;
use crate::error::{Cause, Failure, printable_path};
use crate::open::{OpenError, Opened};
use crate::program::cli::{self, Artifact, Command, Options};
use crate::program::explain::{Stage, Stages};
use crate::program::{config, node, pull, say};
use crate::request::Beyond;
use crate::run::outcome::FAILED;
use crate::store::{Installed, StoreError, Stores, Wanted};
use crate::sys;
use crate::trust as trust_file;
use crate::verify::{
    Checked, Criteria, Reason, Verified, VerifyError, verify as verify_file, verify_for,
    verify_installed, verify_installed_for,
};
use bls_artifact::cpu::Machine;
use bls_artifact::options;
use bls_artifact::text::{printable_json, printable_lines};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::RawFd;
use std::path::Path;

/// Does what the command line says.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    match cli::parse(words.clone()) {
        Err(error) => code(Err(error.into())),
        Ok(command) => match missing(&command) {
            Some(piece) => refuse(piece),
            None => carry_out(command, words),
        },
    }
}

/// Says that this loader was built without what it is called for.
pub(crate) fn refuse(piece: NotBuilt) -> u8 {
    code(Err(piece.into()))
}

/// Does what this loader was built for.
fn carry_out(command: Command, words: Vec<OsString>) -> u8 {
    code(match command {
        Command::Run(options) => match options.config() {
            Some(path) if built::NODE => {
                config::own(path, words).and_then(|options| run::run(&options))
            }
            _ => run::run(&options),
        },
        Command::Verify(options) => verify::verify(&options),
        Command::Binfmt(what) => binfmt::binfmt(what),
        Command::Trust(what) => trust::run(*what),
        Command::Print(text) => print(&text),
        Command::Node(words) if built::NODE => return node::main(words.into_iter()),
        Command::Extensions(words) if built::NETWORK => ext::hand_over(&words),
        Command::VerifyReceipt(words) if built::NODE => receipt::hand_over(&words),
        other if built::STORE => with_store(other),
        // Refused before.
        _ => Ok(()),
    })
}

/// The commands about what is installed.
fn with_store(command: Command) -> Result<(), Failure> {
    match command {
        Command::VerifyAll(options) => verify::verify_all(&options),
        Command::Install { options, files, dry } => install::install(&options, &files, dry),
        Command::Pull { options, reference, dry } => {
            install::install_pulled(&options, reference, dry)
        }
        Command::Rollback { options, name, to, dry } => {
            rollback::rollback(&options, &name, to.as_ref(), dry)
        }
        Command::List(store, json) => list::list(store.as_deref(), json),
        Command::Remove(store, wanted) => remove::remove(store.as_deref(), &wanted),
        Command::Collect(store) => gc::collect(store.as_deref()),
        _ => Ok(()),
    }
}

/// What a command asks for and this loader was built without.
fn missing(command: &Command) -> Option<NotBuilt> {
    let asked = match command {
        Command::Run(options) | Command::Verify(options) => {
            let is_installed =
                matches!(options.artifact, Artifact::Installed(_) | Artifact::Registry(_));
            [
                is_installed || options.store.is_some(),
                options.config().is_some() || options.compile_with.is_some(),
                options.request.beyond != Beyond::default(),
                options.debug_file.is_some()
                    || options.coredump.is_some()
                    || options.jitdump.is_some()
                    || options.perf_map,
            ]
        }
        Command::VerifyAll(_)
        | Command::Install { .. }
        | Command::Pull { .. }
        | Command::Rollback { .. }
        | Command::List(..)
        | Command::Remove(..)
        | Command::Collect(_) => [true, false, false, false],
        Command::Node(_) | Command::VerifyReceipt(_) => [false, true, false, false],
        Command::Extensions(_) => [false, false, true, false],
        Command::Binfmt(_) | Command::Trust(_) | Command::Print(_) => [false; 4],
    };
    let pieces = [
        (built::STORE, NotBuilt::Store),
        (built::NODE, NotBuilt::Node),
        (built::NETWORK, NotBuilt::Network),
        (built::DEBUG, NotBuilt::Debug),
    ];
    let mut all = asked.into_iter().zip(pieces);
    all.find(|(asked, (is_built, _))| *asked && !is_built).map(|(_, (_, piece))| piece)
}

/// Runs an artifact that the kernel was told to execute, and has opened as this descriptor.
pub(crate) fn executed(descriptor: RawFd, words: impl Iterator<Item = OsString>) -> u8 {
    let options = cli::executed(descriptor, words).map_err(Failure::from);
    code(options.and_then(|options| run::run(&options)))
}

fn code(result: Result<(), Failure>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(failure) => {
            say(&failure);
            FAILED
        }
    }
}

/// What the command line names.
enum Named<'a> {
    /// A file that is open.
    File(Opened),
    /// Something that is to be found in a store.
    Installed(&'a Wanted),
}

impl<'a> Named<'a> {
    /// Opens it, if it is a file; what is in a registry is fetched.
    fn open(
        artifact: &'a Artifact,
        options: &Options,
        stages: &mut Stages<'_>,
    ) -> Result<Self, Failure> {
        let opened = match artifact {
            Artifact::Installed(wanted) => return Ok(Self::Installed(wanted)),
            Artifact::File(path) if path.as_os_str() == cli::STDIN => Opened::from_stdin()?,
            Artifact::File(path) => Opened::open(path)?,
            Artifact::Executed(path, descriptor) => executed_file(path, *descriptor)?,
            Artifact::Registry(_) if !built::STORE => return Err(NotBuilt::Store.into()),
            Artifact::Registry(reference) => pull::fetch(reference, options)?,
        };
        stages.done(Stage::Open, || format!("{}: framing fits", opened.name()));
        Ok(Self::File(opened))
    }
}

/// The artifact that the kernel opened where it was told to execute it.
fn executed_file(path: &Path, descriptor: RawFd) -> Result<Opened, OpenError> {
    let name = path.display().to_string();
    match sys::descriptor::duplicate(descriptor) {
        Ok(file) => Opened::taken(name, file.into()),
        Err(error) => {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::BADF);
            Err(OpenError::System(name, errno))
        }
    }
}

/// Verifies it, to be run.
fn verified(
    named: Named<'_>,
    stores: &Stores,
    criteria: &Criteria<'_>,
    stages: &mut Stages<'_>,
) -> Result<Verified, Failure> {
    match named {
        Named::File(opened) => verify_file(opened, criteria).map_err(failure),
        Named::Installed(_) if !built::STORE => Err(NotBuilt::Store.into()),
        Named::Installed(wanted) => {
            look_up(wanted, stores, stages, &|installed| verify_installed(installed, criteria))
        }
    }
}

/// Verifies it for this machine, or for another.
fn checked(
    named: Named<'_>,
    stores: &Stores,
    criteria: &Criteria<'_>,
    machine: Option<&Machine>,
    stages: &mut Stages<'_>,
) -> Result<Checked, Failure> {
    match named {
        Named::File(opened) => verify_for(opened, criteria, machine).map_err(failure),
        Named::Installed(_) if !built::STORE => Err(NotBuilt::Store.into()),
        Named::Installed(wanted) => look_up(wanted, stores, stages, &|installed| {
            verify_installed_for(installed, criteria, machine)
        }),
    }
}

/// Finds something that is installed, and verifies it.
fn look_up<T>(
    wanted: &Wanted,
    stores: &Stores,
    stages: &mut Stages<'_>,
    judge: &dyn Fn(Installed<'_>) -> Result<T, VerifyError>,
) -> Result<T, Failure> {
    let found = crate::verify::look_up(wanted, stores, &mut |installed| {
        stages.done(Stage::Open, || {
            let place = installed.store.path().display();
            format!("{wanted}: sha256:{} in {place}", installed.identity)
        });
        judge(installed)
    });
    found.map_err(failure)
}

/// A store that does not give what it should is no fault of the artifact.
fn failure(error: VerifyError) -> Failure {
    match error.reason {
        Reason::Store(error) => store_failure(error),
        _ => error.into(),
    }
}

/// A word that no command has is taken for a name: it may have been meant for a command,
/// of this program or of the other.
fn store_failure(error: StoreError) -> Failure {
    let hint = match &error {
        StoreError::NotInstalled(word, _) => match options::compiler_command(word) {
            Some(words) => Some(format!("{word} is a command of bls-compile: {words}")),
            None => cli::help::nearest_command(word).map(|command| {
                format!("did you mean {command}? bls-load help {command} says what it does")
            }),
        },
        _ => None,
    };
    let failure = Failure::from(error);
    Failure { hint: hint.or(failure.hint), ..failure }
}

/// Whom to trust, to judge what was named. Where nobody is, a word that names nothing is
/// told first: it may be a mistyped command, and trust would not help.
fn trusted_for(named: &Named<'_>, options: &Options) -> Result<trust_file::Source, Failure> {
    trust_file::load(options.trust.as_deref()).map_err(|error| {
        let Named::Installed(wanted) = named else { return error.into() };
        if !built::STORE {
            return error.into();
        }
        match Stores::open(options.store.as_deref())
            .and_then(|stores| stores.find(wanted).map(drop))
        {
            Err(missing @ StoreError::NotInstalled(..)) => store_failure(missing),
            _ => error.into(),
        }
    })
}

/// Fails where some of what is installed is not as it was.
fn some_refused(bad: usize, stage: &'static str) -> Result<(), Failure> {
    if bad == 0 {
        return Ok(());
    }
    Err(Failure {
        stage,
        code: "store.some-refused",
        what: format!("{bad} of what is installed cannot be run as it is"),
        hint: Some("each has its own hint above".into()),
        cause: Cause::Refused,
    })
}

/// A release among other words; nothing where it has no sequence.
fn release(sequence: u64) -> String {
    if sequence == 0 { String::new() } else { format!(", release {sequence},") }
}

/// The stores that are looked into; none where this loader was built without.
fn stores(explicit: Option<&Path>) -> Result<Stores, StoreError> {
    if built::STORE { Stores::open(explicit) } else { Ok(Stores::default()) }
}

/// Verifies what another program handed over as a file from anywhere: no store vouches for it.
/// Gives whom was trusted too.
pub(super) fn verified_from_outside(
    opened: Opened,
    options: &Options,
) -> Result<(trust_file::Source, Verified), Failure> {
    let trusted = trust_file::load(options.trust.as_deref())?;
    let nowhere = Stores::default();
    let judged = Criteria {
        clock: clock(options.clock_unset),
        stores: Some(&nowhere),
        ..Criteria::of(&trusted.trust)
    };
    let verified = crate::verify::verify(opened, &judged)?;
    Ok((trusted, verified))
}

/// What is said before waiting for a store's lock.
pub(super) fn wait_for(store: &Path) {
    let store = printable_path(store);
    say(&format_args!("bls-load: store: waiting for another that writes to {store}"));
}

/// Writes JSON to stdout, a line or several.
fn print_json(json: &str) -> Result<(), Failure> {
    print(&printable_json(json))
}

/// Writes `text` to stdout. A reader that has read enough is no failure. Foreign text in
/// it has gone through [`printable`](crate::error::printable), as for `say`.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout();
    match output.write_all(printable_lines(text).as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure {
            stage: "output",
            code: "output.closed",
            what: format!("cannot write to stdout: {error}"),
            hint: Some("see where standard output goes, and that there is room".into()),
            cause: Cause::Failed,
        }),
        _ => Ok(()),
    }
}
