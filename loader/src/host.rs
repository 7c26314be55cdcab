//! The host: WASI preview 1 (`wasi_snapshot_preview1`), snapshot 0 before it
//! (`wasi_unstable`), and the interfaces of the Blockless network; synchronous.
//!
//! | file | what |
//! |---|---|
//! | `preview1` | the functions of WASI |
//! | `blockless` | those of the network's interfaces |
//! | `wiring` | from a call of the guest to the function of a row: one way for all of them |
//! | `memory` | pointers of the guest become checked slices: here and nowhere else |
//! | `price` | what calls cost in fuel |
//! | `table`, `stream`, `input`, `transfer` | descriptors, what stands behind them, moving bytes |
//! | `disk` | what counts as output |
//! | `holding` | memory that is held for the guest between calls |
//! | `limit`, `observed`, `state` | what the guest may have, how far it is, what its store owns |
//! | `accounted` | what is kept for a run's account |
//! | `determinism` | what takes the place of clocks, randomness and file numbers |
//! | `errno` | what a call answers when it cannot do what it was asked |
//!
//! May assume that `State::memory` is the guest's exported memory once the guest
//! runs. Guarantees that a guest reaches nothing but what [`Grants`] holds: paths
//! are resolved by `links` and cap-std, which know no way out of a folder, and what they lead to is
//! judged before it is opened; everything with more than files is asked of `Outside`. A pointer that is out of bounds is a trap. Contains no `unsafe`, and no panic that a guest can
//! reach. Costs nothing at start: nothing is
//! asked of the system before the guest asks for it.

#![forbid(unsafe_code)]

pub(crate) mod accounted;
mod blockless;
mod determinism;
mod disk;
pub(crate) mod errno;
mod holding;
mod input;
pub(crate) mod limit;
pub(crate) mod memory;
pub(crate) mod observed;
mod preview1;
mod price;
pub(crate) mod state;
pub(crate) mod stream;
mod table;
mod waiting;
mod wiring;

use crate::built;
use crate::sys;
pub use accounted::Accounting;
use accounted::{Accounted, GuestAccount};
use blockless::Blockless;
pub use blockless::{Aliases, Reach};
use bls_artifact::capability::Capability;
use bls_artifact::host_table::{self, Kind};
use bls_artifact::limits::DESCRIPTORS_DEFAULT;
use bls_artifact::recipe::host_module;
use determinism::Clockwork;
pub use determinism::Determinism;
use disk::OutputLeft;
pub use disk::OutputLimit;
use errno::{Failure, Outcome};
pub use errno::{Fault, Stopped};
use holding::Holding;
use input::Input;
use memory::GuestMemory;
use preview1::edition::Edition;
pub(crate) use preview1::filesystem::kernel_filesystem;
pub use preview1::place::Identity;
pub use price::CannotPay;
use price::Purse;
pub(crate) use state::OwnFailure;
pub use state::State;
use std::fmt;
use std::os::fd::OwnedFd;
pub use stream::Streams;
use table::Table;
use wasmtime::{Caller, FuncType, Linker, Val, ValType};
use wiring::{Row, Run};

/// What a guest is granted. The default is all that is granted by default, and no
/// arguments.
#[derive(Debug)]
pub struct Grants {
    /// The argument list, argument 0 included.
    pub args: Vec<Vec<u8>>,
    /// Environment variables.
    pub env: Vec<Variable>,
    /// Folders, from descriptor 3 on.
    pub preopens: Vec<Preopen>,
    /// Sockets that listen, behind the folders.
    pub listeners: Vec<OwnedFd>,
    /// What it may ask for beyond that, and who answers.
    pub reach: Reach,
    /// Variables that `blockless_memory.env_var_read` lists.
    pub listed: Vec<Variable>,
    /// What stands behind the standard streams. The default: this process's own.
    pub streams: Streams,
    /// The most bytes it may write and make a disk hold, over all descriptors; `None` for
    /// no limit.
    pub output_max: Option<u64>,
    /// The most descriptors it may hold, granted ones included.
    pub descriptors_max: u32,
    /// What is granted by default, and not to this guest.
    pub withheld: Vec<Capability>,
    /// Rules in the place of chance.
    pub determinism: Option<Determinism>,
    /// What is kept for the run's account. The default: nothing.
    pub accounting: Option<Accounting>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            preopens: Vec::new(),
            listeners: Vec::new(),
            reach: Reach::default(),
            listed: Vec::new(),
            streams: Streams::default(),
            output_max: None,
            descriptors_max: DESCRIPTORS_DEFAULT,
            withheld: Vec::new(),
            determinism: None,
            accounting: None,
        }
    }
}

/// A variable of the environment: its name and its value.
pub type Variable = (Vec<u8>, Vec<u8>);

/// A folder that is open when the guest starts.
#[derive(Debug)]
pub struct Preopen {
    /// The folder.
    pub dir: cap_std::fs::Dir,
    /// Its path in the guest's eyes.
    pub guest_path: String,
    /// Whether nothing in it may be changed.
    pub read_only: bool,
    /// Which folder it is, whatever leads to it.
    pub(crate) identity: Identity,
    /// Files and folders that no guest reaches, in whichever granted folder they are.
    pub(crate) hidden: Vec<Identity>,
}

impl Preopen {
    /// An open folder, by this name in the guest's eyes.
    ///
    /// # Errors
    /// When the system does not say which folder it is.
    pub fn new(
        dir: cap_std::fs::Dir,
        guest_path: String,
        read_only: bool,
    ) -> std::io::Result<Self> {
        let identity = Identity::of(&dir)?;
        Ok(Self { dir, guest_path, read_only, identity, hidden: Vec::new() })
    }

    /// The same folder, open once more: for another guest, which has nothing hidden yet.
    pub(crate) fn again(&self) -> std::io::Result<Self> {
        let (guest_path, read_only) = (self.guest_path.clone(), self.read_only);
        let (dir, identity) = (self.dir.try_clone()?, self.identity);
        Ok(Self { dir, guest_path, read_only, identity, hidden: Vec::new() })
    }
}

/// How a guest ends itself: the error that `proc_exit` unwinds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u32);

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the guest exited with code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// The host side of one guest.
#[derive(Debug)]
pub struct Host {
    arguments: Vec<Vec<u8>>,
    environment: Vec<Variable>,
    table: Table,
    output_left: OutputLeft,
    /// See `clock`.
    monotonic_origin: Option<u64>,
    withheld: Vec<Capability>,
    clockwork: Option<Clockwork>,
    purse: Purse,
    holding: Holding,
    input: Input,
    blockless: Blockless,
    accounted: Accounted,
    /// Which edition of it the call at hand is one of.
    edition: Edition,
}

impl Host {
    /// A host that grants this and nothing else.
    #[must_use]
    pub fn new(grants: Grants) -> Self {
        let has_input = !grants.withheld.contains(&Capability::Stdin);
        let (direction, end) = (stream::Direction::Input, grants.streams.input.clone());
        let input = has_input.then_some(stream::Stream { direction, end });
        Self {
            arguments: grants.args,
            environment: grants.env,
            table: Table::new(
                grants.preopens,
                grants.listeners,
                grants.streams,
                grants.descriptors_max,
                &grants.withheld,
            ),
            output_left: OutputLeft(grants.output_max),
            monotonic_origin: None,
            withheld: grants.withheld,
            clockwork: grants.determinism.map(Clockwork::new),
            purse: Purse::default(),
            holding: Holding::default(),
            input: Input::new(input).accounted(grants.accounting),
            accounted: Accounted::new(grants.accounting, rows().count()),
            blockless: Blockless::new(grants.reach, grants.listed),
            edition: Edition::default(),
        }
    }

    /// Takes note of what the guest imports, before it runs: where it can read standard input
    /// from its start, what is read of it is kept.
    pub fn expect(&mut self, module: &str, name: &str) {
        let function = host_table::function(module, name);
        let is = |known: &host_table::Function| {
            (known.interface, known.name) == ("blockless_memory", "memory_read")
        };
        if function.is_some_and(is) {
            self.input.keep();
        }
    }

    /// Whether the guest was told that it holds as many descriptors as it may.
    #[must_use]
    pub fn descriptors_ran_out(&self) -> bool {
        self.table.ran_out()
    }

    /// Whether the guest was told that its limit on memory has no room for what the host
    /// would hold for it.
    #[must_use]
    pub fn memory_ran_out(&self) -> bool {
        self.holding.refused()
    }

    /// Units that all calls until now have cost.
    pub(crate) fn charged(&self) -> u64 {
        self.purse.charged()
    }

    /// What is to be in the account of the run.
    pub(crate) fn account(&self) -> GuestAccount {
        let names = rows().map(|row| (row.interface, row.name));
        GuestAccount::of(&self.accounted, self.input.seen(), names)
    }

    /// `perm` when a default grant was kept back.
    fn check(&self, capability: Capability) -> Outcome<()> {
        match self.withheld.contains(&capability) {
            true => Err(errno::Errno::Perm.into()),
            false => Ok(()),
        }
    }
}

/// Runs one call of the guest, with the parameters that it gave, takes its price off the guest's
/// counter, and turns what it gave into what the guest sees; `memory` is the number of the one
/// that its pointers are into. One function for all calls: a copy for each would be a fiftieth of
/// the program.
fn call(
    caller: &mut Caller<'_, State>,
    edition: Edition,
    memory: u32,
    (index, run): (usize, Run),
    given: &[u64],
) -> Result<u32, wasmtime::Error> {
    let counter = caller.data().counter;
    let left = counter.and_then(|counter| counter.get(&mut *caller).i64());
    let State { host, limiter, observed, called_host, .. } = caller.data_mut();
    *called_host = true;
    if let Some(left) = left {
        observed.see_fuel_left(left);
    }
    host.purse.open(left);
    host.holding.open(limiter.left_for_host());
    host.edition = edition;
    host.accounted.call(index);
    let outcome = match caller.data().memory(memory) {
        Some(memory) => {
            let (bytes, state) = memory.data_and_store_mut(&mut *caller);
            run(&mut state.host, &mut GuestMemory::new(Some(bytes)), given)
        }
        None => run(&mut caller.data_mut().host, &mut GuestMemory::new(None), given),
    };
    let State { host, limiter, observed, .. } = caller.data_mut();
    limiter.host_holds(host.holding.counted());
    if let (Some(counter), Some(left)) = (counter, host.purse.close()) {
        observed.see_fuel_left(left);
        counter.set(&mut *caller, Val::I64(left))?;
    }
    // A guest that does nothing but call the host is never found in its own code.
    let outcome = outcome.and_then(|()| errno::check_stopped());
    match outcome {
        Ok(()) => Ok(0),
        Err(Failure::Errno(errno)) => Ok(u32::from(errno.number())),
        Err(Failure::Code(code)) => Ok(code.into()),
        Err(Failure::Fault(fault)) => Err(wasmtime::Error::new(fault)),
        Err(Failure::Stop(error)) => Err(error),
    }
}

/// Whether the host's function of this name has this type; `None` when there is no such
/// function.
#[must_use]
pub fn has_type(module: &str, name: &str, ty: &FuncType) -> Option<bool> {
    let function = host_table::function(module, name)?;
    let results: &[Kind] = if function.answers { &[Kind::I32] } else { &[] };
    let is = |kind: &Kind, ty: &ValType| match kind {
        Kind::I32 => ty.is_i32(),
        Kind::I64 => ty.is_i64(),
    };
    let fit = |kinds: &[Kind], types: &mut dyn ExactSizeIterator<Item = ValType>| {
        kinds.len() == types.len() && kinds.iter().zip(types).all(|(kind, ty)| is(kind, &ty))
    };
    Some(fit(function.parameters, &mut ty.params()) && fit(results, &mut ty.results()))
}

/// All functions that this loader has.
fn rows() -> impl Iterator<Item = &'static Row> {
    let beyond: &[Row] = if built::NETWORK { blockless::ROWS } else { blockless::closed::ROWS };
    preview1::ROWS.iter().chain(beyond)
}

/// The row of the function that an import asks for, and its place, if there is one.
fn row(module: &str, name: &str) -> Option<(&'static host_table::Function, usize, &'static Row)> {
    let function = host_table::function(module, name)?;
    let is_it =
        |(_, row): &(usize, &Row)| (row.interface, row.name) == (function.interface, function.name);
    let (index, row) = rows().enumerate().find(is_it)?;
    Some((function, index, row))
}

/// Gives `linker` the host function that an import asks for; `false` when there is no such
/// function, or this loader was built without it.
///
/// # Errors
/// The engine's, when there is no memory for it.
pub fn define(linker: &mut Linker<State>, module: &str, name: &str) -> wasmtime::Result<bool> {
    let Some((function, index, row)) = row(module, name) else { return Ok(false) };
    let (interface, memory) = host_module(module);
    let (edition, run) = (Edition::of(interface), (index, row.run));
    sys::function::define(linker, (module, name), function, move |caller, given| {
        call(caller, edition, memory, run, given)
    })?;
    Ok(true)
}
