//! A guest that stands and is called, as often as one likes.

use super::call::{CallError, Function};
use super::outcome::{Ended, Fuel, Outcome};
use super::stdio::Sink;
use super::stopping::{CANCELLED, Stopping, TIME};
use crate::error::{Cause, Error};
use crate::host::Exit;
use crate::host::errno::Stopped;
use crate::link::{Entry, Linked};
use crate::run::outcome::{Limit, Outcome as RunOutcome};
use crate::run::{self, Guest};
use crate::sys;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Func, FuncType, Trap, Val, WasmParams, WasmResults};

/// Bytes of stack that the loader and host functions need beside the guest's.
pub(crate) const STACK_RESERVE: usize = 512 << 10;

/// A guest that stands: a plug-in, a library, a reactor.
///
/// Made by [`Runner::instantiate`](crate::Runner::instantiate). Its limits on memory, output
/// and descriptors hold over all calls; fuel and time are given as one likes, for each call
/// or for many.
#[derive(Debug)]
pub struct Instance {
    pub(crate) guest: Guest,
    pub(crate) linked: Arc<Linked>,
    pub(crate) stopping: Option<Stopping>,
    /// For each call.
    pub(crate) timeout: Option<Duration>,
    /// Bytes that the guest may use of a stack.
    pub(crate) stack: usize,
    pub(crate) outputs: [Sink; 2],
    pub(crate) is_over: bool,
}

impl Instance {
    /// The exported function of this name and type.
    ///
    /// # Errors
    /// `link.no-such-export` and `link.call-type`.
    pub fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Result<Function<P, R>, Error> {
        let function = self.exported(name)?;
        let (_, store) = self.guest.parts();
        function.typed(&*store).map(Function).map_err(|error| {
            self.refuse(
                "link.call-type",
                format!("{name:?} is of another type: {error:#}"),
                "call it with the types that it was compiled with",
            )
        })
    }

    /// Calls an exported function by its name: `instance.call::<(i32, i32), i32>("add", (1, 2))`.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call<P: WasmParams + Send, R: WasmResults + Send>(
        &mut self,
        name: &str,
        parameters: P,
    ) -> Result<R, CallError> {
        let function = self.function::<P, R>(name)?;
        self.call_function(&function, parameters)
    }

    /// Calls one that was found before.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call_function<P: WasmParams + Send, R: WasmResults + Send>(
        &mut self,
        function: &Function<P, R>,
        parameters: P,
    ) -> Result<R, CallError> {
        self.enter(|guest| {
            let (_, store) = guest.parts();
            let results = function.0.call(&mut *store, parameters)?;
            guest.settle()?;
            Ok(results)
        })
    }

    /// Calls an exported function with values that are known only when the program runs.
    ///
    /// # Errors
    /// [`CallError`]: `link.call-type` where the values are not of its parameters' types.
    pub fn call_values(&mut self, name: &str, values: &[Val]) -> Result<Vec<Val>, CallError> {
        let function = self.exported(name)?;
        let (_, store) = self.guest.parts();
        let ty = function.ty(&*store);
        let fit = |(value, ty): (&Val, _)| value.matches_ty(&*store, &ty).unwrap_or(false);
        if values.len() != ty.params().len() || !values.iter().zip(ty.params()).all(fit) {
            return Err(CallError::Refused(self.refuse(
                "link.call-type",
                format!("{name:?} is of another type: {ty}"),
                "call it with the types that it was compiled with",
            )));
        }
        self.enter(|guest| {
            let (_, store) = guest.parts();
            let mut results = vec![Val::I32(0); ty.results().len()];
            function.call(&mut *store, values, &mut results)?;
            guest.settle()?;
            Ok(results)
        })
    }

    /// The type of an exported function.
    ///
    /// # Errors
    /// `link.no-such-export`.
    pub fn function_type(&mut self, name: &str) -> Result<FuncType, Error> {
        let function = self.exported(name)?;
        Ok(function.ty(&*self.guest.parts().1))
    }

    fn exported(&mut self, name: &str) -> Result<Func, Error> {
        let (instance, store) = self.guest.parts();
        instance.get_func(store, name).ok_or_else(|| {
            self.refuse(
                "link.no-such-export",
                format!("it exports no function {name:?}"),
                "see bls-compile inspect for what it exports",
            )
        })
    }

    /// Gives it this much fuel from now on, whatever it had. What it consumed until now is
    /// forgotten: [`Instance::fuel`] counts from here.
    pub fn set_fuel(&mut self, units: u64) {
        self.guest.refuel(Some(units));
    }

    /// What it has consumed since it was made, or was given fuel; `None` when it is not
    /// metered.
    #[must_use]
    pub fn fuel(&mut self) -> Option<Fuel> {
        self.guest.consumed().map(Into::into)
    }

    /// Limits the time of each call from now on. For a guest that was made with a limit on
    /// time, or with a [`Cancel`](crate::Cancel): others cannot be stopped.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub fn set_timeout(&mut self, time: Option<Duration>) -> Result<(), Error> {
        if time.is_some() && self.stopping.is_none() {
            return Err(self.refuse(
                "run.not-stoppable",
                "it was not made to be stopped".into(),
                "make it with a limit on time: Runner::timeout",
            ));
        }
        self.timeout = time;
        Ok(())
    }

    /// The `length` bytes at `address` in its memory (its export `memory`).
    ///
    /// # Errors
    /// They are not all there.
    pub fn read(&mut self, address: u32, length: u32) -> Result<&[u8], Error> {
        let range = address as usize..(address as usize).saturating_add(length as usize);
        let error = self.beyond(address, length);
        self.memory().and_then(|memory| memory.get(range)).ok_or(error).map(|bytes| &*bytes)
    }

    /// Writes at `address` in its memory.
    ///
    /// # Errors
    /// There is no room.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let range = address as usize..(address as usize).saturating_add(bytes.len());
        let error = self.beyond(address, length);
        let place = self.memory().and_then(|memory| memory.get_mut(range)).ok_or(error)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    /// What [`Runner::data`](crate::Runner::data) gave it, if it is of this type.
    pub fn data<T: 'static>(&mut self) -> Option<&mut T> {
        self.guest.parts().1.data_mut().data.as_mut()?.downcast_mut()
    }

    /// What it wrote since it was last asked, where standard output is
    /// [`Sink::bytes`](crate::Sink::bytes).
    #[must_use]
    pub fn take_stdout(&mut self) -> Vec<u8> {
        self.outputs[0].take()
    }

    /// The same of standard error.
    #[must_use]
    pub fn take_stderr(&mut self) -> Vec<u8> {
        self.outputs[1].take()
    }

    /// Ends it, and says what it used.
    #[must_use]
    pub fn end(mut self) -> Ended {
        let ended = self.guest.ended(Ok(Vec::new()), false);
        self.settled(ended, Outcome::Exited(0))
    }

    /// Runs `entry` to its end.
    pub(crate) fn run(mut self, entry: &Entry) -> Result<Ended, Error> {
        let start = self.linked.mapped().facts().manifest.module.start;
        let (result, why) = self.inside(|guest| guest.run(entry, start))?;
        let stopped = result.as_ref().err().and_then(|error| self.stopped(error, why));
        let ended = match stopped.is_some() {
            false => self.guest.ended(result, false),
            true => self.guest.ended_anywhere(result),
        };
        let outcome = match stopped {
            Some(outcome) => outcome,
            None => outcome(&ended.outcome)?,
        };
        Ok(self.settled(ended, outcome))
    }

    /// Does what makes it ready to be called: its start function, and `_initialize`.
    pub(crate) fn begin(&mut self, initialize: bool) -> Result<(), CallError> {
        let start = self.linked.mapped().facts().manifest.module.start;
        self.enter(|guest| guest.begin(start, initialize))
    }

    /// Runs `call` in the guest, where it has not ended.
    fn enter<T: Send>(
        &mut self,
        call: impl FnOnce(&mut Guest) -> wasmtime::Result<T> + Send,
    ) -> Result<T, CallError> {
        if self.is_over {
            return Err(CallError::Refused(self.refuse(
                "run.over",
                "it has ended, and cannot be called again".into(),
                "make another",
            )));
        }
        let (result, why) = self.inside(call)?;
        result.map_err(|error| {
            self.is_over = true;
            if let Some(outcome) = self.stopped(&error, why) {
                return CallError::Ended(outcome);
            }
            match outcome(&self.guest.ended(Err(error), false).outcome) {
                Ok(outcome) => CallError::Ended(outcome),
                Err(error) => CallError::Refused(error),
            }
        })
    }

    /// Runs `call` on a stack with enough room, and so that it can be stopped; why it was.
    fn inside<T: Send>(
        &mut self,
        call: impl FnOnce(&mut Guest) -> T + Send,
    ) -> Result<(T, u8), Error> {
        let Self { guest, stopping, timeout, stack, .. } = self;
        let work = || match stopping {
            None => Ok((call(guest), 0)),
            Some(stopping) => stopping.run(*timeout, || call(guest)),
        };
        if sys::stack::left_bytes().is_none_or(|left| left >= *stack + STACK_RESERVE) {
            return work();
        }
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(*stack + 2 * STACK_RESERVE);
            let thread = thread.spawn_scoped(scope, work).map_err(|error| {
                Error::new(
                    "run",
                    "run.stack",
                    format!("the system gives no stack of {stack} bytes: {error}"),
                    "ask for less stack, or allow more memory",
                    Cause::Failed,
                )
            })?;
            // A panic in a host function of the embedder's goes on in the embedder.
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// What a call that was to be stopped for this reason came to, where that is why it gave
    /// `error`.
    fn stopped(&self, error: &wasmtime::Error, why: u8) -> Option<Outcome> {
        if why == 0 || error.is::<Exit>() || !(error.is::<Trap>() || error.is::<Stopped>()) {
            return None;
        }
        Some(match why {
            CANCELLED => Outcome::Cancelled,
            TIME => {
                let time = self.timeout.unwrap_or_default();
                Outcome::Limit(Limit::Time, format!("stopped after {time:?}"))
            }
            _ => return None,
        })
    }

    fn settled(&self, ended: run::Ended, outcome: Outcome) -> Ended {
        Ended {
            outcome,
            fuel: ended.consumption.map(Into::into),
            peak_memory: ended.memory_peak,
            limits_met: ended.limits_met,
            results: ended.results,
            stdout: self.outputs[0].take(),
            stderr: self.outputs[1].take(),
        }
    }

    fn memory(&mut self) -> Option<&mut [u8]> {
        let (_, store) = self.guest.parts();
        let memory = store.data().memory?;
        Some(memory.data_mut(store))
    }

    fn beyond(&self, address: u32, length: u32) -> Error {
        self.refuse(
            "run.memory",
            format!("it has no {length} bytes at {address:#x}"),
            "ask it for room first, by a function that it exports",
        )
    }

    fn refuse(&self, code: &'static str, what: String, hint: &str) -> Error {
        let name = &self.linked.mapped().facts().name;
        Error::new("run", code, format!("{name}: {what}"), hint, Cause::Refused)
    }
}

/// The outcome in an embedder's words; an error where the engine or the system failed.
pub(crate) fn outcome(outcome: &RunOutcome) -> Result<Outcome, Error> {
    Ok(match outcome {
        RunOutcome::Exited(code) => Outcome::Exited(*code),
        RunOutcome::Trapped(trap) => Outcome::Trapped(trap.clone()),
        RunOutcome::OutOfFuel => Outcome::OutOfFuel,
        RunOutcome::Limit(limit, what) => Outcome::Limit(*limit, what.clone()),
        RunOutcome::Failed(failure) => return Err(failure.clone().into()),
        RunOutcome::Signal(number) => {
            return Err(Error::new(
                "run",
                "run.signal",
                format!("ended by signal {number}"),
                "see who sent it",
                Cause::Failed,
            ));
        }
    })
}
