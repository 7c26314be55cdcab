//! The commands, one file each.

mod ext;
mod gc;
mod install;
mod list;
mod remove;
pub(crate) mod run;
mod trust;
mod verify;

use crate::error::{Cause, Failure, printable_path};
use crate::open::Opened;
use crate::program::cli::{self, Artifact, Command, Options};
use crate::program::explain::{Stage, Stages};
use crate::program::{config, node, say};
use crate::run::outcome::FAILED;
use crate::store::{Installed, StoreError, Stores, Wanted};
use crate::trust as trust_file;
use crate::verify::{
    Checked, Policy, Reason, Verified, VerifyError, verify as verify_file, verify_for,
    verify_installed, verify_installed_for,
};
use bls_artifact::cpu::Machine;
use bls_artifact::options;
use bls_artifact::text::{printable_json, printable_lines};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

/// Does what the command line says.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let result = match cli::parse(words.clone()) {
        Ok(Command::Run(options)) => match options.config() {
            Some(path) => config::own(path, words).and_then(|options| run::run(&options)),
            None => run::run(&options),
        },
        Ok(Command::Verify(options)) => verify::verify(&options),
        Ok(Command::VerifyAll(options)) => verify::verify_all(&options),
        Ok(Command::Install(options)) => install::install(&options),
        Ok(Command::List(store, json)) => list::list(store.as_deref(), json),
        Ok(Command::Remove(store, wanted)) => remove::remove(store.as_deref(), &wanted),
        Ok(Command::Collect(store)) => gc::collect(store.as_deref()),
        Ok(Command::Trust(what)) => trust::run(*what),
        Ok(Command::Node(words)) => return node::main(words.into_iter()),
        Ok(Command::Extensions(words)) => ext::hand_over(&words),
        Ok(Command::Print(text)) => print(&text),
        Err(error) => Err(error.into()),
    };
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
    /// Opens it, if it is a file.
    fn open(artifact: &'a Artifact, stages: &mut Stages<'_>) -> Result<Self, Failure> {
        match artifact {
            Artifact::Installed(wanted) => Ok(Self::Installed(wanted)),
            Artifact::File(path) => {
                let opened = match path.as_os_str() == cli::STDIN {
                    true => Opened::from_stdin()?,
                    false => Opened::open(path)?,
                };
                stages.done(Stage::Open, || format!("{}: framing fits", opened.name()));
                Ok(Self::File(opened))
            }
        }
    }
}

/// Verifies it, to be run.
fn verified(
    named: Named<'_>,
    stores: &Stores,
    policy: &Policy<'_>,
    stages: &mut Stages<'_>,
) -> Result<Verified, Failure> {
    match named {
        Named::File(opened) => verify_file(opened, policy).map_err(failure),
        Named::Installed(wanted) => {
            look_up(wanted, stores, stages, &|installed| verify_installed(installed, policy))
        }
    }
}

/// Verifies it for this machine, or for another.
fn checked(
    named: Named<'_>,
    stores: &Stores,
    policy: &Policy<'_>,
    machine: Option<&Machine>,
    stages: &mut Stages<'_>,
) -> Result<Checked, Failure> {
    match named {
        Named::File(opened) => verify_for(opened, policy, machine).map_err(failure),
        Named::Installed(wanted) => look_up(wanted, stores, stages, &|installed| {
            verify_installed_for(installed, policy, machine)
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

/// What is said before waiting for a store's lock.
fn wait_for(store: &Path) {
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
