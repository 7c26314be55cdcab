//! What is served: routes, and the pool that answers on each. Made by the keeper, and had by
//! each worker as a copy.
//!
//! Guarantees that whatever would refuse every request refuses to serve instead: the artifacts
//! are verified and mapped here, folders opened, and the variables of CGI held against the
//! policies.

use crate::cgi;
use crate::options::Options;
use crate::{Defect, Failure};
use bls_artifact::policy::Requirement;
use bls_loader::outside::{Broker, Setup, SharedBroker};
use bls_loader::{Access, Error, Loader, Pool, Runner, Sink, Source, Trust};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// Guests of one artifact that a worker has at once.
const AT_ONCE: u32 = 1;

/// What answers.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) pools: Vec<Pool>,
    /// The pool of each route.
    pub(crate) routes: Vec<usize>,
    /// Who is started to answer what guests ask of the network, and what it may do; `None` where
    /// no guest has anything to ask.
    broker: Option<(PathBuf, Setup)>,
}

impl Serving {
    /// Starts who answers the guests of one worker, where there is anything to answer.
    ///
    /// # Errors
    /// As the loader has them.
    pub(crate) fn start_broker(&self) -> Result<Option<SharedBroker>, Error> {
        let broker = self.broker.as_ref();
        broker.map(|(program, setup)| SharedBroker::new(program, setup)).transpose()
    }
}

/// Refuses where what is named is no file to be read again: a pipe would be waited for.
///
/// # Errors
/// The artifact that is none.
pub(crate) fn check_files(options: &Options) -> Result<(), Failure> {
    let paths = options.routes.iter().map(|route| &route.artifact).filter(|word| is_file(word));
    for path in paths {
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let path = bls_artifact::text::printable_path(path.as_ref());
            let hint = "serve a file or what is installed, or restart";
            let what = format!("{path} is no file that can be read again");
            return Err(Failure::new(Defect::Reload, what, hint));
        }
    }
    Ok(())
}

/// Verifies and maps what is to be served.
///
/// # Errors
/// As the loader has them.
pub(crate) fn load(options: &Options) -> Result<Serving, Error> {
    let trust = match &options.trust {
        Some(path) => Trust::file(path)?,
        None => Trust::system()?,
    };
    let mut loader = Loader::new(trust);
    if let Some(path) = &options.policy {
        loader = loader.policy_file(path)?;
    }
    if let Some(folder) = &options.store {
        loader = loader.store(folder);
    }
    for (wanted, requirement) in
        [(options.require_fuel, Requirement::Fuel), (options.require_sandbox, Requirement::Sandbox)]
    {
        if wanted {
            loader = loader.require(requirement);
        }
    }
    if options.clock_unset {
        loader = loader.clock_unset();
    }
    let mut serving = Serving { pools: Vec::new(), routes: Vec::new(), broker: None };
    let mut known: HashMap<&OsStr, usize> = HashMap::new();
    for route in &options.routes {
        let index = match known.get(route.artifact.as_os_str()) {
            Some(index) => *index,
            None => {
                serving.pools.push(pool(&loader, options, &route.artifact)?);
                let _ = known.insert(&route.artifact, serving.pools.len() - 1);
                serving.pools.len() - 1
            }
        };
        serving.routes.push(index);
    }
    serving.broker = broker(options, &serving.pools)?;
    Ok(serving)
}

/// The broker that answers the guests of these pools. All of them are granted the same.
fn broker(options: &Options, pools: &[Pool]) -> Result<Option<(PathBuf, Setup)>, Error> {
    let mut setup: Option<Setup> = None;
    for pool in pools {
        let Some(asked) = pool.broker_setup()? else { continue };
        let demanded = setup.is_some_and(|setup| setup.require_sandbox);
        setup = Some(Setup { require_sandbox: asked.require_sandbox || demanded, ..asked });
    }
    let Some(mut setup) = setup else { return Ok(None) };
    // As it is named from here; a name that the system cannot complete is one that nobody opens.
    let authorities = options.authorities.as_ref();
    setup.authorities =
        authorities.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let program = options.broker.clone().map_or_else(Broker::beside_this_program, Ok)?;
    Ok(Some((program, setup)))
}

/// Whether a word names a file: as bls-load reads it.
fn is_file(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    bytes.contains(&b'/') || bytes.ends_with(b".bls")
}

fn pool(loader: &Loader, options: &Options, artifact: &OsStr) -> Result<Pool, Error> {
    let verified = match is_file(artifact) {
        true => loader.open(artifact)?,
        false => loader.open_installed(&artifact.to_string_lossy())?,
    };
    let mut runner = Runner::new(verified).timeout(options.timeout).output(options.output_max);
    for folder in &options.folders {
        let access = if folder.read_only { Access::Read } else { Access::Write };
        runner = runner.folder(&folder.host, &folder.guest, access);
    }
    for (name, value) in &options.variables {
        runner = runner.env(name, value);
    }
    for place in &options.network.allow {
        runner = runner.allow_net(place.clone());
    }
    for place in &options.network.deny {
        runner = runner.deny_net(place.clone());
    }
    for capability in &options.denied {
        runner = runner.deny(*capability);
    }
    if let Some(units) = options.fuel {
        runner = runner.fuel(units);
    }
    if let Some(bytes) = options.memory {
        runner = runner.memory(bytes);
    }
    if let Some(count) = options.descriptors {
        runner = runner.descriptors(count);
    }
    let most = usize::try_from(options.output_max).unwrap_or(usize::MAX);
    let runner = runner.stdin(Source::empty());
    let runner = runner.stdout(Sink::at_most(most)).stderr(Sink::at_most(most));
    let pool = runner.pool(AT_ONCE)?;
    let names = cgi::VARIABLES.iter().copied().chain(["HTTP_HOST"]);
    let asked = names.fold(pool.runner(), |runner, name| runner.env(name, ""));
    asked.check()?;
    Ok(pool)
}

/// A runner of this pool, for a request with these variables and this body, and who answers what
/// its guest asks.
pub(crate) fn runner(
    pool: &Pool,
    variables: &[(&[u8], &[u8])],
    body: &[u8],
    broker: Option<&SharedBroker>,
) -> Runner {
    let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let mut runner = pool.runner().stdin(Source::bytes(body));
    if let Some(broker) = broker {
        runner = runner.outside(broker.guest());
    }
    variables.iter().fold(runner, |runner, (name, value)| runner.env(own(name), own(value)))
}
