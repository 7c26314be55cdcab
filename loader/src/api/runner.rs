//! Asks for what a guest gets, and runs it.

use super::call::CallError;
use super::function::{Call, Dynamic, Functions, HostFunction};
use super::instance::Instance;
use super::outcome::Ended;
use super::refusal::Refusal;
use super::stdio::{Sink, Source};
use super::stopping::{Cancel, Stopping};
use crate::api::load::Verified;
use crate::error::Error;
use crate::grant::Held;
use crate::host::{Determinism, Streams};
use crate::link::{self, LinkError, Linked};
use crate::map::{Guests, map_for};
use crate::outside::Outside;
use crate::policy::{Rules, RunLimits};
use crate::request::{Folder, Request, UnknownImports};
use crate::run::Guest;
use crate::sys::interrupt::{Places, Stop};
use crate::{confine, grant, verify};
use bls_artifact::capability::Capability;
use bls_artifact::net::{Endpoint, NetGrant};
use bls_artifact::policy::Requirement;
use std::any::Any;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Val, ValType};

/// What a guest may do in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read, and change nothing.
    Read,
    /// Read and write, make and remove.
    Write,
}

/// Where the code comes from.
pub(crate) enum Code {
    /// It is still to be mapped.
    Verified(Box<verify::Verified>),
    /// It is there, for many guests.
    #[cfg(feature = "pool")]
    Shared(Arc<Linked>, Option<Arc<Places>>),
}

impl Code {
    /// What is known of it.
    fn facts(&self) -> &verify::Facts {
        match self {
            Self::Verified(verified) => verified.facts(),
            #[cfg(feature = "pool")]
            Self::Shared(linked, _) => linked.mapped().facts(),
        }
    }

    /// Whether it was mapped and linked for the guests of a pool.
    fn is_of_pool(&self) -> bool {
        !matches!(self, Self::Verified(_))
    }
}

/// Runs an artifact, with what it gets and may use up.
///
/// Without more, a guest gets no arguments, variables or folders; its input is empty, its
/// output is discarded, its memory is limited to 1 GiB, and its fuel and time are not. A policy may
/// say less.
///
/// ```no_run
/// # fn main() -> Result<(), bls_loader::Error> {
/// use bls_loader::{Access, Loader, Runner, Sink, Trust};
/// use std::time::Duration;
/// let verified = Loader::new(Trust::system()?).open("app.bls")?;
/// let ended = Runner::new(verified)
///     .arg("x")
///     .folder("./data", "/data", Access::Write)
///     .fuel(1_000_000_000)
///     .timeout(Duration::from_secs(2))
///     .stdout(Sink::bytes())
///     .run()?;
/// println!("{}: {} bytes, {:?}", ended.outcome, ended.stdout.len(), ended.fuel);
/// # Ok(()) }
/// ```
pub struct Runner {
    code: Code,
    rules: Arc<Rules>,
    /// Folders that are open already: a pool's.
    held: Arc<Held>,
    asked: Parts,
    functions: Functions,
    data: Option<Box<dyn Any + Send>>,
    outside: Option<Box<dyn Outside>>,
    stop: Option<Arc<Stop>>,
}

/// What a guest is to get, beside code and functions.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    request: Request,
    values: Vec<Val>,
    stdin: Source,
    outputs: [Sink; 2],
}

impl Parts {
    /// The same for another guest: what is read is read again, and what is written is apart.
    #[cfg(feature = "pool")]
    pub(crate) fn fresh(&self) -> Self {
        let Self { request, values, stdin, outputs } = self;
        let outputs = [outputs[0].fresh(), outputs[1].fresh()];
        Self { request: request.clone(), values: values.clone(), stdin: stdin.fresh(), outputs }
    }

    /// Whether it may have connections or listeners.
    #[cfg(feature = "pool")]
    pub(crate) fn asks_for_sockets(&self) -> bool {
        self.request.beyond.network.allow.iter().any(NetGrant::is_tcp)
    }

    /// What whoever answers such a guest may do for it; `None` where it imports nothing that asks
    /// for what it was granted.
    #[cfg(feature = "pool")]
    pub(crate) fn broker_setup(
        &self,
        linked: &Linked,
        rules: &Rules,
        limits: &RunLimits,
        held: &Held,
    ) -> Result<Option<crate::outside::Setup>, Error> {
        use bls_artifact::host_table::function;
        let mapped = linked.mapped();
        let granted = grant::grant_of(&self.request, rules, limits, mapped.facts(), held)?;
        let imports = mapped.module().imports();
        let functions = imports.filter_map(|import| function(import.module(), import.name()));
        Ok(granted.asking.is_for(functions).then_some(granted.asking.setup))
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Runner").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Runner {
    /// Runs this. Its argument 0 is its name.
    #[must_use]
    pub fn new(verified: Verified) -> Self {
        let Verified { verified, rules } = verified;
        let program = verified.facts().manifest.name.clone().into();
        let asked = Parts {
            request: Request { program, ..Request::default() },
            values: Vec::new(),
            stdin: Source::empty(),
            outputs: [Sink::discard(), Sink::discard()],
        };
        Self::with(Code::Verified(Box::new(verified)), rules, Arc::default(), asked)
    }

    pub(crate) fn with(code: Code, rules: Arc<Rules>, held: Arc<Held>, asked: Parts) -> Self {
        let functions = Functions::default();
        Self { code, rules, held, asked, functions, data: None, outside: None, stop: None }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.asked.request.arguments.push(word.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.asked.request.arguments.extend(words.into_iter().map(Into::into));
        self
    }

    /// Another argument 0.
    #[must_use]
    pub fn arg0(mut self, word: impl Into<OsString>) -> Self {
        self.asked.request.program = word.into();
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.asked.request.variables.push((name.into(), Some(value.into())));
        self
    }

    /// A folder of this machine, and what the guest calls it.
    #[must_use]
    pub fn folder(
        mut self,
        host: impl Into<PathBuf>,
        guest: impl Into<OsString>,
        access: Access,
    ) -> Self {
        let (host, guest) = (host.into(), guest.into());
        self.asked.request.folders.push(Folder {
            host,
            below: PathBuf::new(),
            guest,
            read_only: access == Access::Read,
        });
        self
    }

    /// Lets it reach this of the network: `NetGrant::parse("https://example.com/v1")`. Somebody
    /// has to answer what it asks for: [`Runner::outside`].
    #[must_use]
    pub fn allow_net(mut self, place: NetGrant) -> Self {
        self.asked.request.beyond.network.allow.push(place);
        self
    }

    /// Does not let it reach this, whatever is allowed.
    #[must_use]
    pub fn deny_net(mut self, place: NetGrant) -> Self {
        self.asked.request.beyond.network.deny.push(place);
        self
    }

    /// Lets it use this extension. Somebody has to start it: [`Runner::outside`].
    #[must_use]
    pub fn allow_extension(mut self, alias: impl Into<String>) -> Self {
        self.asked.request.beyond.extensions.aliases.push(alias.into());
        self
    }

    /// Listens on this address for it, when it is made: a descriptor behind those of its
    /// folders, from which it takes connections (`sock_accept`).
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.asked
            .request
            .beyond
            .listeners
            .push(Endpoint { host: address.ip().into(), port: address.port() });
        self
    }

    /// Who answers what it asks of the world outside: an [`Outside`] of one's own, or a
    /// [`Broker`](crate::outside::Broker). It is asked for nothing that was not allowed by name.
    /// (Not for the guests of a pool together: each runner has its own. For those that run one
    /// behind the other there is [`SharedBroker`](crate::outside::SharedBroker).)
    ///
    /// ```
    /// # use bls_loader::outside::{Answer, Outside, Reason, Refusal, Reply, Request};
    /// # use bls_loader::bls_artifact::net::NetGrant;
    /// # struct OnePage;
    /// # impl Outside for OnePage {
    /// #     fn ask(&mut self, _: &Request) -> std::io::Result<Reply> {
    /// #         Ok(Answer::Refused(Refusal::new(Reason::Denied, "no")).into())
    /// #     }
    /// # }
    /// # fn f(runner: bls_loader::Runner) -> Result<bls_loader::Runner, Box<dyn std::error::Error>> {
    /// Ok(runner.allow_net(NetGrant::parse("http://example.com")?).outside(OnePage))
    /// # }
    /// ```
    #[must_use]
    pub fn outside(mut self, outside: impl Outside + 'static) -> Self {
        self.outside = Some(Box::new(outside));
        self
    }

    /// A variable that `blockless_memory.env_var_read` lists; it is none of its environment.
    #[must_use]
    pub fn list_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.asked.request.listed.push((name.into(), Some(value.into())));
        self
    }

    /// At most this many units of fuel. An artifact that is not metered is refused.
    #[must_use]
    pub fn fuel(mut self, units: u64) -> Self {
        self.asked.request.limits.fuel = Some(units);
        self
    }

    /// At most this long, for the run or for each call. The guest pays nothing for it; but a
    /// trap of a guest that can be stopped does not say who called whom.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.asked.request.limits.timeout = Some(time);
        self
    }

    /// At most this many bytes of memories, tables and objects together.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.asked.request.limits.memory = Some(bytes);
        self
    }

    /// At most this many bytes of stack.
    #[must_use]
    pub fn stack(mut self, bytes: u64) -> Self {
        self.asked.request.limits.stack = Some(bytes);
        self
    }

    /// At most this many bytes written, and made a disk hold.
    #[must_use]
    pub fn output(mut self, bytes: u64) -> Self {
        self.asked.request.limits.output = Some(bytes);
        self
    }

    /// At most this many descriptors, granted ones included.
    #[must_use]
    pub fn descriptors(mut self, count: u32) -> Self {
        self.asked.request.limits.descriptors = Some(count.into());
        self
    }

    /// What it reads.
    #[must_use]
    pub fn stdin(mut self, source: Source) -> Self {
        self.asked.stdin = source;
        self.asked.request.own_stdin = true;
        self
    }

    /// Where its output goes.
    #[must_use]
    pub fn stdout(mut self, sink: Sink) -> Self {
        self.asked.outputs[0] = sink.fresh();
        self
    }

    /// Where its errors go.
    #[must_use]
    pub fn stderr(mut self, sink: Sink) -> Self {
        self.asked.outputs[1] = sink.fresh();
        self
    }

    /// Keeps back something that is granted by default.
    #[must_use]
    pub fn deny(mut self, capability: Capability) -> Self {
        self.asked.request.denied.push(capability);
        self
    }

    /// Rules in the place of clocks and chance: the same run each time. The artifact must be
    /// one that computes the same on every machine.
    #[must_use]
    pub fn deterministic(mut self, seed: u64, epoch_seconds: u64) -> Self {
        self.asked.request.determinism = Some(Determinism { seed, epoch_seconds });
        self.asked.request.require.push(Requirement::Deterministic);
        self
    }

    /// Calls this export in the place of the one that is called by default, with these values.
    /// Of a library that was made of a component it may be the text of a call by types,
    /// `add(1, 2)`, without values: what comes of it is on standard output.
    #[must_use]
    pub fn invoke(mut self, export: &str, values: impl IntoIterator<Item = Val>) -> Self {
        self.asked.request.invoke = Some(export.to_owned());
        self.asked.values = values.into_iter().collect();
        self
    }

    /// Lets imports that nobody defines trap when they are called.
    #[must_use]
    pub fn unknown_imports_trap(mut self) -> Self {
        self.asked.request.unknown_imports = UnknownImports::Trap;
        self
    }

    /// A function of one's own, for the import `module`.`name`, in the place of WASI's if it
    /// has one. Each call costs `price` units of fuel (a unit is about the work of one simple
    /// operator, a third of a nanosecond), and what the function charges itself.
    ///
    /// ```no_run
    /// # fn f(runner: bls_loader::Runner) -> bls_loader::Runner {
    /// runner.function("env", "log", 500, |call: &mut bls_loader::Call<'_>, text: u32, length: u32| {
    ///     call.charge(u64::from(length))?;
    ///     println!("{}", String::from_utf8_lossy(call.read(text, length)?));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn function<P, R>(
        mut self,
        module: &str,
        name: &str,
        price: u64,
        function: impl HostFunction<P, R>,
    ) -> Self {
        self.functions.add(module, name, price, function);
        self
    }

    /// The same for a function whose type is known only when the program runs: of these
    /// parameters and results. It gets as many values as it has parameters, and gives one
    /// for each of its results, of its type; anything else is a trap.
    #[must_use]
    pub fn function_dynamic(
        mut self,
        module: &str,
        name: &str,
        price: u64,
        parameters: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
        function: impl Fn(&mut Call<'_>, &[Val]) -> wasmtime::Result<Vec<Val>> + Send + Sync + 'static,
    ) -> Self {
        let parameters = parameters.into_iter().collect();
        let results = results.into_iter().collect();
        self.functions.add(module, name, price, Dynamic { parameters, results, function });
        self
    }

    /// What one's own functions work on: [`Call::data`](crate::Call::data).
    #[must_use]
    pub fn data<T: Any + Send>(mut self, data: T) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// What stops the guest from another thread.
    pub fn cancel(&mut self) -> Cancel {
        Cancel(Arc::clone(self.stop.get_or_insert_default()))
    }

    /// Whether such a guest would get what is asked for here: its limits, grants and needs.
    /// Nothing is mapped or run.
    ///
    /// # Errors
    /// As [`Runner::run`] gives them before there is a guest.
    pub fn check(mut self) -> Result<(), Error> {
        let limits = self.limits()?;
        let facts = self.code.facts();
        link::check_budget(facts, limits.fuel)?;
        grant::grant_of(&self.asked.request, &self.rules, &limits, facts, &self.held)?;
        Ok(())
    }

    /// Runs the guest to its end.
    ///
    /// # Errors
    /// It could not be run: refused by a policy, by its own needs, by its imports; or the
    /// system or the engine failed. What the guest did is in [`Ended`], not here.
    pub fn run(self) -> Result<Ended, Error> {
        let (invoke, values) = (self.asked.request.invoke.clone(), self.asked.values.clone());
        let entry = |linked: &Linked| link::entry_with(linked.mapped(), invoke.as_deref(), values);
        match self.make(entry)? {
            (Made::Instance(instance), entry) => instance.run(&entry),
            (Made::Ended(ended), _) => Ok(*ended),
        }
    }

    /// Makes a guest to be called: runs its start function and, if it has one, `_initialize`.
    ///
    /// # Errors
    /// As for [`Runner::run`]; or it ended before it stood.
    pub fn instantiate(self) -> Result<Instance, CallError> {
        match self.make(|linked| link::check_initialize(linked.mapped()))? {
            (Made::Instance(mut instance), initialize) => {
                instance.begin(initialize)?;
                Ok(*instance)
            }
            (Made::Ended(ended), _) => Err(CallError::Ended(ended.outcome)),
        }
    }

    /// Makes a guest, and finds out by `entry` what to call before there is one.
    fn make<T>(
        mut self,
        entry: impl FnOnce(&Linked) -> Result<T, LinkError>,
    ) -> Result<(Made, T), Error> {
        self.check_confined()?;
        let limits = self.limits()?;
        let guests = self.guests(&limits);
        let unknown = self.asked.request.unknown_imports;
        let is_of_pool = self.code.is_of_pool();
        let (linked, places) = linked(self.code, &self.functions, unknown, &guests)?;
        let facts = linked.mapped().facts();
        link::check_budget(facts, limits.fuel)?;
        let mut granted =
            grant::grant_of(&self.asked.request, &self.rules, &limits, facts, &self.held)?.grants;
        granted.reach.outside = self.outside;
        let entry = entry(&linked)?;
        link::give_typed_call(linked.mapped(), &self.asked.request, &mut granted.args);
        let [output, error] = &self.asked.outputs;
        granted.streams =
            Streams { input: self.asked.stdin.0, output: output.0.clone(), error: error.0.clone() };
        let stopping = match (self.stop, places) {
            (None, _) => None,
            (Some(stop), Some(places)) => Some(Stopping { stop, places }),
            (Some(_), None) if is_of_pool => return Err(Refusal::NotStoppable.into()),
            (Some(_), None) => return Err(Refusal::NoPlace(facts.name.clone()).into()),
        };
        let made = match Guest::new(&linked, granted, &limits, &Arc::default()) {
            Ok(guest) => Made::Instance(Box::new(Instance {
                guest: guest.with_data(self.data),
                linked,
                stopping,
                timeout: limits.timeout,
                stack: limits.stack,
                outputs: self.asked.outputs,
                over: None,
            })),
            Err(ended) => Made::Ended(Box::new(Ended {
                outcome: super::instance::outcome(&ended.outcome)?,
                fuel: ended.consumption.map(Into::into),
                peak_memory: ended.memory_peak,
                limits_met: ended.limits_met,
                results: Vec::new(),
                stdout: Vec::new(),
                stderr: Vec::new(),
            })),
        };
        Ok((made, entry))
    }

    /// Refuses to make a guest where a sandbox is demanded, and none stands.
    fn check_confined(&self) -> Result<(), Refusal> {
        match self.rules.requires(Requirement::Sandbox) && !confine::stands_around_this_process() {
            true => Err(Refusal::NotConfined),
            false => Ok(()),
        }
    }

    /// What its guests may use up. With a limit on time they can be stopped.
    fn limits(&mut self) -> Result<RunLimits, Error> {
        let limits = self.rules.limits(&self.asked.request.limits)?;
        let limits = limits.within(&self.code.facts().manifest.limits);
        if limits.timeout.is_some() {
            self.stop.get_or_insert_default();
        }
        Ok(limits)
    }

    fn guests(&self, limits: &RunLimits) -> Guests {
        let stoppable = self.stop.is_some();
        Guests { stack: limits.stack, memory: limits.memory, stoppable, ..Guests::default() }
    }

    /// Makes room for so many guests at once, each of which gets what was asked for here.
    /// With a limit on time, or after [`Runner::cancel`], its guests can be stopped. Folders are
    /// opened now, once for all guests that get them. Where a policy demands a sandbox the pool
    /// is made, and its guests are refused until a [`Wall`](crate::Wall) stands.
    ///
    /// # Errors
    /// As for [`Runner::run`]; also when the system has no address space for as many, and when
    /// this is a runner of a pool's own.
    #[cfg(feature = "pool")]
    pub fn pool(mut self, guests: u32) -> Result<super::pool::Pool, Error> {
        let limits = self.limits()?;
        let guests = Guests { pooled: Some(guests), ..self.guests(&limits) };
        let unknown = self.asked.request.unknown_imports;
        let (linked, places) = linked(self.code, &self.functions, unknown, &guests)?;
        let facts = linked.mapped().facts();
        let held = grant::hold(&self.asked.request, &self.rules, facts)?;
        let held = Arc::new(held);
        Ok(super::pool::Pool {
            linked,
            places,
            rules: self.rules,
            held,
            template: self.asked,
            limits,
        })
    }
}

/// The code, mapped and linked; and where it can be stopped, if it is to be.
fn linked(
    code: Code,
    functions: &Functions,
    unknown: UnknownImports,
    guests: &Guests,
) -> Result<(Arc<Linked>, Option<Arc<Places>>), Error> {
    match code {
        Code::Verified(verified) => {
            let mapped = map_for(*verified, guests)?;
            let own =
                |linker: &mut _, module: &str, name: &str| functions.define(linker, module, name);
            let linked = link::link(mapped, &own, unknown)?;
            let module = linked.mapped().module();
            let places = if guests.stoppable { Places::of(module).map(Arc::new) } else { None };
            Ok((Arc::new(linked), places))
        }
        #[cfg(feature = "pool")]
        Code::Shared(..) if guests.pooled.is_some() || !functions.is_empty() => {
            Err(Refusal::OfPool.into())
        }
        #[cfg(feature = "pool")]
        Code::Shared(linked, places) => Ok((linked, places)),
    }
}

/// What came of making a guest.
enum Made {
    Instance(Box<Instance>),
    /// It could not even be made: out of fuel, or of memory.
    Ended(Box<Ended>),
}
