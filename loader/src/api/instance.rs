//! A guest that stands and is called, as often as one likes.

use super::call::{CallError, Function};
use super::outcome::{Ended, Fuel, Outcome};
use super::refusal::Refusal;
use super::stdio::Sink;
use super::stopping::{CANCELLED, Stopping, TIME};
use crate::error::Error;
use crate::host::Exit;
use crate::host::errno::Stopped;
use crate::link::{self, Entry, Linked};
use crate::run::outcome::{Limit, Outcome as RunOutcome};
use crate::run::{self, Guest};
use crate::sys;
use crate::sys::interrupt::unstoppable;
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
    /// How it ended, and what it had consumed then; `None` while it can be called.
    pub(crate) over: Option<(Outcome, Option<Fuel>)>,
}

impl Instance {
    /// The exported function of this name and type.
    ///
    /// # Errors
    /// `link.no-such-export` and `run.call-type`.
    pub fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Result<Function<P, R>, Error> {
        let function = self.exported(name)?;
        let (_, store) = self.guest.parts();
        let typed = function.typed(&*store).map(Function);
        Ok(typed.map_err(|error| Refusal::CallType(name.to_owned(), error))?)
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
    /// [`CallError`]: `run.call-type` where the values are not of its parameters' types.
    pub fn call_values(&mut self, name: &str, values: &[Val]) -> Result<Vec<Val>, CallError> {
        let function = self.exported(name)?;
        let (_, store) = self.guest.parts();
        let ty = function.ty(&*store);
        let fit = |(value, ty): (&Val, _)| value.matches_ty(&*store, &ty).unwrap_or(false);
        if values.len() != ty.params().len() || !values.iter().zip(ty.params()).all(fit) {
            let error = wasmtime::Error::msg(ty.to_string());
            return Err(Refusal::CallType(name.to_owned(), error).into());
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
        let found = instance.get_func(store, name);
        found.ok_or_else(|| link::no_such_export(self.linked.mapped(), name).into())
    }

    /// Gives it this much fuel from now on, whatever it had. What it consumed until now is
    /// forgotten: [`Instance::fuel`] counts from here.
    pub fn set_fuel(&mut self, units: u64) {
        self.guest.refuel(Some(units));
    }

    /// What it has consumed since it was made, or was given fuel; once it has ended, by its
    /// end. `None` when it is not metered.
    #[must_use]
    pub fn fuel(&mut self) -> Option<Fuel> {
        match &self.over {
            Some((_, fuel)) => *fuel,
            None => self.guest.consumed().map(Into::into),
        }
    }

    /// Limits the time of each call from now on. For a guest that was made with a limit on
    /// time, or with a [`Cancel`](crate::Cancel): others cannot be stopped.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub fn set_timeout(&mut self, time: Option<Duration>) -> Result<(), Error> {
        if time.is_some() && self.stopping.is_none() {
            return Err(Refusal::NotStoppable.into());
        }
        self.timeout = time;
        Ok(())
    }

    /// The `length` bytes at `address` in its memory (its export `memory`).
    ///
    /// # Errors
    /// They are not all there.
    pub fn read(&mut self, address: u32, length: u32) -> Result<&[u8], Error> {
        Ok(self.bytes(address, length as usize)?)
    }

    /// Writes at `address` in its memory.
    ///
    /// # Errors
    /// There is no room.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        self.bytes(address, bytes.len())?.copy_from_slice(bytes);
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

    /// Ends it, and says what it used, and how it ended: `Exited(0)`, where it had not.
    #[must_use]
    pub fn end(mut self) -> Ended {
        let ended = self.guest.ended(Ok(Vec::new()), false);
        let (outcome, fuel) =
            self.over.take().unwrap_or((Outcome::Exited(0), ended.consumption.map(Into::into)));
        Ended { fuel, ..self.settled(ended, outcome) }
    }

    /// Runs `entry` to its end.
    pub(crate) fn run(mut self, entry: &Entry) -> Result<Ended, Error> {
        let start = self.linked.mapped().facts().manifest.module.start;
        let (result, why) = self.inside(|guest| guest.run(entry, start))?;
        let (ended, outcome) = self.judge(result, why);
        Ok(self.settled(ended, outcome?))
    }

    /// What became of it, after a call that gave `result` and was to be stopped for this
    /// reason: how it ended, or why the engine or the system failed.
    fn judge(
        &mut self,
        result: wasmtime::Result<Vec<Val>>,
        why: u8,
    ) -> (run::Ended, Result<Outcome, Error>) {
        let stopped = result.as_ref().err().and_then(|error| self.stopped(error, why));
        match stopped {
            Some(outcome) => (self.guest.ended_anywhere(result), Ok(outcome)),
            None => {
                let ended = self.guest.ended(result, false);
                let outcome = outcome(&ended.outcome);
                (ended, outcome)
            }
        }
    }

    /// Does what makes it ready to be called: its start function, and `_initialize`.
    pub(crate) fn begin(&mut self, initialize: bool) -> Result<(), CallError> {
        let start = self.linked.mapped().facts().manifest.module.start;
        self.enter(|guest| guest.begin(start, initialize))
    }

    /// Runs `call` in the guest, where it has not ended.
    #[inline]
    fn enter<T: Send>(
        &mut self,
        call: impl FnOnce(&mut Guest) -> wasmtime::Result<T> + Send,
    ) -> Result<T, CallError> {
        if self.over.is_some() {
            return Err(Refusal::Over.into());
        }
        // What most calls are, without the way around.
        if self.stopping.is_none() && self.has_room() {
            let result = unstoppable(|| call(&mut self.guest));
            return result.map_err(|error| self.failed(error, 0));
        }
        let (result, why) = self.inside(call)?;
        result.map_err(|error| self.failed(error, why))
    }

    /// Ends it: a call gave `error`, and was to be stopped for this reason.
    #[cold]
    fn failed(&mut self, error: wasmtime::Error, why: u8) -> CallError {
        let (ended, outcome) = self.judge(Err(error), why);
        let fuel = ended.consumption.map(Into::into);
        match outcome {
            Ok(outcome) => {
                self.over = Some((outcome.clone(), fuel));
                CallError::Ended(outcome)
            }
            Err(error) => {
                self.over = Some((Outcome::Failed(error.to_string()), fuel));
                CallError::Refused(error)
            }
        }
    }

    /// Whether this thread's stack has room for the guest.
    #[inline]
    fn has_room(&self) -> bool {
        sys::stack::left_bytes().is_none_or(|left| left >= self.stack + STACK_RESERVE)
    }

    /// Runs `call` on a stack with enough room, and so that it can be stopped; why it was.
    fn inside<T: Send>(
        &mut self,
        call: impl FnOnce(&mut Guest) -> T + Send,
    ) -> Result<(T, u8), Error> {
        let has_room = self.has_room();
        let Self { guest, stopping, timeout, stack, .. } = self;
        let work = || match stopping {
            None => Ok((unstoppable(|| call(guest)), 0)),
            Some(stopping) => Ok(stopping.run(*timeout, || call(guest))?),
        };
        if has_room {
            return work();
        }
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(*stack + 2 * STACK_RESERVE);
            let thread =
                thread.spawn_scoped(scope, work).map_err(|error| Refusal::Stack(*stack, error))?;
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

    /// The bytes at an address of its memory.
    fn bytes(&mut self, address: u32, length: usize) -> Result<&mut [u8], Refusal> {
        let (_, store) = self.guest.parts();
        let range = address as usize..(address as usize).saturating_add(length);
        let memory = store.data().memory.map(|memory| memory.data_mut(store));
        memory.and_then(|memory| memory.get_mut(range)).ok_or(Refusal::Memory(address, length))
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
        // The program's alone: it has a watcher.
        RunOutcome::Signal(_) => Outcome::Cancelled,
    })
}
