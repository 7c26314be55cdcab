//! The host: WASI preview 1 (`wasi_snapshot_preview1`) and snapshot 0 before it
//! (`wasi_unstable`), synchronous.
//!
//! | file | functions |
//! |---|---|
//! | `args_environ` | `args_*`, `environ_*` |
//! | `clock`, `poll` | `clock_*`, `poll_oneoff` |
//! | `random` | `random_get` |
//! | `fd`, `transfer`, `stat`, `readdir` | `fd_*` |
//! | `path`, `stat` | `path_*` |
//! | `place`, `filesystem` | where a path leads, and whether a guest may go there |
//! | `disk` | what counts as output |
//! | `process`, `socket` | `proc_*`, `sched_yield`, `sock_*` |
//! | `price` | what calls cost in fuel |
//! | `holding` | memory that is held for the guest between calls |
//! | `edition` | what `wasi_unstable`, snapshot 0, has otherwise |
//! | `determinism` | what takes the place of clocks, randomness and file numbers |
//! | `memory` | pointers of the guest become checked slices: here and nowhere else |
//! | `table`, `types`, `errno` | descriptors, the specification's records and errors |
//!
//! May assume that `State::memory` is the guest's exported memory once the guest
//! runs. Guarantees that a guest reaches nothing but what [`Grants`] holds: paths
//! are resolved by cap-std, which knows no way out of a folder, and what they lead to is
//! judged before it is opened. A pointer that is out of bounds is a trap. Contains no `unsafe`, and no panic that a guest can
//! reach. Costs nothing at start: no table of functions is built, and nothing is
//! asked of the system before the guest asks for it.

#![forbid(unsafe_code)]

mod args_environ;
mod clock;
mod determinism;
mod disk;
mod edition;
pub(crate) mod errno;
mod fd;
mod filesystem;
mod holding;
pub(crate) mod limit;
pub(crate) mod memory;
mod path;
mod place;
mod poll;
mod price;
mod process;
mod random;
mod readdir;
mod socket;
mod stat;
pub(crate) mod state;
pub(crate) mod stream;
mod table;
mod transfer;
mod types;

use bls_artifact::capability::Capability;
use bls_artifact::limits::DESCRIPTORS_DEFAULT;
use determinism::Clockwork;
pub use determinism::Determinism;
use disk::OutputLeft;
pub use disk::OutputLimit;
use edition::Edition;
use errno::{Failure, Outcome};
pub use errno::{Fault, Stopped};
pub(crate) use filesystem::kernel_filesystem;
use holding::Holding;
use memory::GuestMemory;
pub use place::Identity;
pub use price::CannotPay;
use price::{Price, Purse};
pub(crate) use state::OwnFailure;
pub use state::State;
use std::fmt;
pub use stream::Streams;
use table::Table;
use wasmtime::{Caller, FuncType, Linker, Val, ValType};

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
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            preopens: Vec::new(),
            streams: Streams::default(),
            output_max: None,
            descriptors_max: DESCRIPTORS_DEFAULT,
            withheld: Vec::new(),
            determinism: None,
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
        Ok(Self { dir, guest_path, read_only, identity })
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
    /// Which interface the call at hand is one of.
    edition: Edition,
}

impl Host {
    /// A host that grants this and nothing else.
    #[must_use]
    pub fn new(grants: Grants) -> Self {
        Self {
            arguments: grants.args,
            environment: grants.env,
            table: Table::new(
                grants.preopens,
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
            edition: Edition::default(),
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

    /// `perm` when a default grant was kept back.
    fn check(&self, capability: Capability) -> Outcome<()> {
        match self.withheld.contains(&capability) {
            true => Err(errno::Errno::Perm.into()),
            false => Ok(()),
        }
    }
}

/// Runs one call of the guest, takes its price off the guest's counter, and turns what it
/// gave into what the guest sees. One function for all calls: a copy for each would be a
/// fiftieth of the program.
fn call(
    caller: &mut Caller<'_, State>,
    edition: Edition,
    base: u64,
    function: &dyn Fn(&mut Host, &mut GuestMemory<'_>) -> Outcome<()>,
) -> Result<u32, wasmtime::Error> {
    let counter = caller.data().counter;
    let left = counter.and_then(|counter| counter.get(&mut *caller).i64());
    let State { host, limiter, .. } = caller.data_mut();
    host.purse.open(left);
    host.holding.open(limiter.left_for_host());
    host.edition = edition;
    let outcome = match caller.data().memory {
        Some(memory) => {
            let (bytes, state) = memory.data_and_store_mut(&mut *caller);
            function(&mut state.host, &mut GuestMemory::new(Some(bytes)))
        }
        None => function(&mut caller.data_mut().host, &mut GuestMemory::new(None)),
    };
    let State { host, limiter, .. } = caller.data_mut();
    limiter.host_holds(host.holding.counted());
    host.purse.owe_folders(host.table.roots.take_looked_at());
    if let (Some(counter), Some(left)) = (counter, host.purse.close(base)) {
        counter.set(&mut *caller, Val::I64(left))?;
    }
    // A guest that does nothing but call the host is never found in its own code.
    let outcome = outcome.and_then(|()| errno::check_stopped());
    match outcome {
        Ok(()) => Ok(0),
        Err(Failure::Errno(errno)) => Ok(u32::from(errno.number())),
        Err(Failure::Fault(fault)) => Err(wasmtime::Error::new(fault)),
        Err(Failure::Stop(error)) => Err(error),
    }
}

/// A value of the calling convention, for [`FUNCTIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
}

impl Kind {
    fn is(self, ty: &ValType) -> bool {
        match self {
            Self::I32 => ty.is_i32(),
            Self::I64 => ty.is_i64(),
        }
    }
}

/// The calling convention's name of a Rust type.
macro_rules! kind {
    (u32) => {
        Kind::I32
    };
    (u64) => {
        Kind::I64
    };
    (i64) => {
        Kind::I64
    };
}

/// Whether the host's function of this name has this type; `None` when there is no such
/// function.
#[must_use]
pub fn has_type(module: &str, name: &str, ty: &FuncType) -> Option<bool> {
    Edition::of(module).filter(|edition| edition.has(name))?;
    let (_, parameters) = FUNCTIONS.iter().find(|(known, _)| *known == name)?;
    let results: &[Kind] = if name == "proc_exit" { &[] } else { &[Kind::I32] };
    let fit = |kinds: &[Kind], types: &mut dyn ExactSizeIterator<Item = ValType>| {
        kinds.len() == types.len() && kinds.iter().zip(types).all(|(kind, ty)| kind.is(&ty))
    };
    Some(fit(parameters, &mut ty.params()) && fit(results, &mut ty.results()))
}

/// Makes [`define`] and [`FUNCTIONS`] from one list. All functions answer with
/// an errno, but for `proc_exit`, which does not come back.
macro_rules! functions {
    ($($group:ident :: $function:ident ( $($parameter:ident : $type:ident),* );)*) => {
        /// Every function of preview 1, with its parameters as the module sees
        /// them. All but `proc_exit` have one result, an errno as `i32`.
        pub const FUNCTIONS: &[(&str, &[Kind])] = &[
            $((stringify!($function), &[$(kind!($type)),*]),)*
            ("proc_exit", &[Kind::I32]),
        ];

        /// Gives `linker` the host function that an import asks for, from
        /// `wasi_snapshot_preview1` or `wasi_unstable`; `false` when there is no such
        /// function.
        ///
        /// # Errors
        /// The engine's, when there is no memory for it.
        pub fn define(
            linker: &mut Linker<State>,
            module: &str,
            name: &str,
        ) -> wasmtime::Result<bool> {
            let Some(edition) = Edition::of(module).filter(|edition| edition.has(name)) else {
                return Ok(false);
            };
            match name {
                $(stringify!($function) => linker.func_wrap(
                    module,
                    name,
                    move |mut caller: Caller<'_, State> $(, $parameter: $type)*| {
                        const PRICE: Price = Price::of(stringify!($function));
                        let units = PRICE.units(&[$(i128::from($parameter)),*]);
                        call(&mut caller, edition, units, &|host, memory| {
                            $group::$function(host, memory $(, $parameter)*)
                        })
                    },
                )?,)*
                "proc_exit" => linker.func_wrap(
                    module,
                    name,
                    move |mut caller: Caller<'_, State>, code: u32| {
                        call(&mut caller, edition, 0, &|host, memory| {
                            process::proc_exit(host, memory, code)
                        })
                        .map(drop)
                    },
                )?,
                _ => return Ok(false),
            };
            Ok(true)
        }
    };
}

functions! {
    args_environ::args_get(pointers: u32, strings: u32);
    args_environ::args_sizes_get(count: u32, size: u32);
    args_environ::environ_get(pointers: u32, strings: u32);
    args_environ::environ_sizes_get(count: u32, size: u32);
    clock::clock_res_get(clock: u32, result: u32);
    clock::clock_time_get(clock: u32, precision_ns: u64, result: u32);
    fd::fd_advise(descriptor: u32, offset: u64, length: u64, advice: u32);
    fd::fd_allocate(descriptor: u32, offset: u64, length: u64);
    fd::fd_close(descriptor: u32);
    fd::fd_datasync(descriptor: u32);
    fd::fd_fdstat_get(descriptor: u32, result: u32);
    fd::fd_fdstat_set_flags(descriptor: u32, flags: u32);
    fd::fd_fdstat_set_rights(descriptor: u32, rights: u64, inheriting: u64);
    stat::fd_filestat_get(descriptor: u32, result: u32);
    stat::fd_filestat_set_size(descriptor: u32, size: u64);
    stat::fd_filestat_set_times(descriptor: u32, accessed_ns: u64, modified_ns: u64, flags: u32);
    transfer::fd_pread(descriptor: u32, buffers: u32, count: u32, offset: u64, result: u32);
    fd::fd_prestat_get(descriptor: u32, result: u32);
    fd::fd_prestat_dir_name(descriptor: u32, buffer: u32, length: u32);
    transfer::fd_pwrite(descriptor: u32, buffers: u32, count: u32, offset: u64, result: u32);
    transfer::fd_read(descriptor: u32, buffers: u32, count: u32, result: u32);
    readdir::fd_readdir(descriptor: u32, buffer: u32, length: u32, cookie: u64, result: u32);
    fd::fd_renumber(from: u32, to: u32);
    fd::fd_seek(descriptor: u32, offset: i64, whence: u32, result: u32);
    fd::fd_sync(descriptor: u32);
    fd::fd_tell(descriptor: u32, result: u32);
    transfer::fd_write(descriptor: u32, buffers: u32, count: u32, result: u32);
    path::path_create_directory(descriptor: u32, path: u32, length: u32);
    stat::path_filestat_get(descriptor: u32, lookup: u32, path: u32, length: u32, result: u32);
    stat::path_filestat_set_times(
        descriptor: u32, lookup: u32, path: u32, length: u32,
        accessed_ns: u64, modified_ns: u64, flags: u32
    );
    path::path_link(
        old_descriptor: u32, lookup: u32, old_path: u32, old_length: u32,
        new_descriptor: u32, new_path: u32, new_length: u32
    );
    path::path_open(
        descriptor: u32, lookup: u32, path: u32, length: u32, how: u32,
        rights: u64, inheriting: u64, flags: u32, result: u32
    );
    path::path_readlink(
        descriptor: u32, path: u32, length: u32, buffer: u32, buffer_length: u32, result: u32
    );
    path::path_remove_directory(descriptor: u32, path: u32, length: u32);
    path::path_rename(
        old_descriptor: u32, old_path: u32, old_length: u32,
        new_descriptor: u32, new_path: u32, new_length: u32
    );
    path::path_symlink(
        target: u32, target_length: u32, descriptor: u32, path: u32, length: u32
    );
    path::path_unlink_file(descriptor: u32, path: u32, length: u32);
    poll::poll_oneoff(subscriptions: u32, events: u32, count: u32, result: u32);
    process::proc_raise(signal: u32);
    random::random_get(buffer: u32, length: u32);
    process::sched_yield();
    socket::sock_accept(descriptor: u32, flags: u32, result: u32);
    socket::sock_recv(
        descriptor: u32, buffers: u32, count: u32, flags: u32, length: u32, flags_out: u32
    );
    socket::sock_send(descriptor: u32, buffers: u32, count: u32, flags: u32, length: u32);
    socket::sock_shutdown(descriptor: u32, sides: u32);
}
