//! Host functions of the embedder's own, and what they cost.
//!
//! Guarantees that each call is paid for before it begins, from the same counter that the
//! guest's own code and WASI are paid from; and that an address which a guest gives is
//! checked before anything is read or written there.

use crate::host::errno::{Failure, Stopped};
use crate::host::memory::{Bytes, GuestMemory};
use crate::host::{CannotPay, OwnFailure, State};
use crate::sys::interrupt;
use bls_artifact::recipe::host_module;
use std::fmt;
use std::sync::Arc;
use wasmtime::{Caller, FuncType, Linker, Val, ValType, WasmRet, WasmTy};

/// One call of a function of the embedder's own.
pub struct Call<'a> {
    caller: Caller<'a, State>,
    /// The number of the memory of the module that calls.
    memory: u32,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Call")
    }
}

impl<'a> Call<'a> {
    #[inline]
    fn begin(mut caller: Caller<'a, State>, memory: u32, price: u64) -> wasmtime::Result<Self> {
        caller.data_mut().called_host = true;
        let mut call = Self { caller, memory };
        call.charge(price)?;
        Ok(call)
    }

    /// What the function gave; where it said no, a trap; and where the guest is to be stopped,
    /// its end.
    #[inline]
    fn end<R>(results: wasmtime::Result<R>) -> wasmtime::Result<R> {
        if interrupt::is_wanted() {
            return Err(Stopped.into());
        }
        results.map_err(|error| error.context(OwnFailure))
    }

    /// The memory of the module that calls.
    fn bytes(&mut self) -> GuestMemory<'_> {
        let memory = self.caller.data().memory(self.memory);
        GuestMemory::new(memory.map(|memory| memory.data_mut(&mut self.caller)))
    }

    /// Takes fuel for what is going to be done. (What a call costs in any case is its price,
    /// which was taken already.) For the same count on every machine it must depend on what
    /// the guest asked for and got, never on time.
    ///
    /// # Errors
    /// The guest has less than that. Return the error: the guest is out of fuel.
    #[inline]
    pub fn charge(&mut self, units: u64) -> wasmtime::Result<()> {
        if units == 0 { Ok(()) } else { self.take(units) }
    }

    fn take(&mut self, units: u64) -> wasmtime::Result<()> {
        let Some(counter) = self.caller.data().counter else { return Ok(()) };
        let before = counter.get(&mut self.caller).i64().unwrap_or(0);
        let price = i64::try_from(units).unwrap_or(i64::MAX);
        // Never the number that says "out of fuel".
        let left = before.saturating_sub(price).max(i64::MIN + 1);
        counter.set(&mut self.caller, Val::I64(left))?;
        if left < 0 { Err(CannotPay.into()) } else { Ok(()) }
    }

    /// The `length` bytes at `address` in the guest's memory (its export `memory`; where a
    /// library that it was linked with calls, that library's).
    ///
    /// # Errors
    /// They are not all there, or the guest has no memory. Return the error: it is a trap.
    pub fn read(&mut self, address: u32, length: u32) -> wasmtime::Result<&[u8]> {
        let bytes = self.bytes().into_bytes(Bytes::new(address, length));
        bytes.map(|bytes| &*bytes).map_err(into_error)
    }

    /// Writes at `address` in the guest's memory.
    ///
    /// # Errors
    /// There is no room, or the guest has no memory. Return the error: it is a trap.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> wasmtime::Result<()> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let place = self.bytes().into_bytes(Bytes::new(address, length)).map_err(into_error)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    /// What [`Runner::data`](crate::Runner::data) gave this guest, if it is of this type.
    pub fn data<T: 'static>(&mut self) -> Option<&mut T> {
        self.caller.data_mut().data.as_mut()?.downcast_mut()
    }
}

fn into_error(failure: Failure) -> wasmtime::Error {
    match failure {
        Failure::Fault(fault) => fault.into(),
        Failure::Stop(error) => error,
        Failure::Errno(errno) => wasmtime::Error::msg(format!("{errno:?}")),
        Failure::Code(code) => wasmtime::Error::msg(format!("code {code}")),
    }
}

/// What can be a host function: a closure that takes a [`Call`] and up to 12 numbers, and
/// gives a [`wasmtime::Result`](crate::wasmtime::Result) of a number, of several (a tuple), or of
/// nothing; an error is a trap, and [`Error::msg`](crate::wasmtime::Error::msg) makes one.
///
/// The types of its parameters are written out: `|call: &mut Call<'_>, number: i32| Ok(number + 1)`.
/// A panic in it goes through the guest to whoever called that; the instance stays as it is.
#[diagnostic::on_unimplemented(
    message = "this is no host function",
    label = "wants a closure like `|call: &mut Call<'_>, number: i32| Ok(number + 1)`",
    note = "every parameter's type is written out, and it gives a `bls_loader::wasmtime::Result`"
)]
pub trait HostFunction<Parameters, Results>: Send + Sync + 'static {
    #[doc(hidden)]
    fn define(
        self: Arc<Self>,
        linker: &mut Linker<State>,
        module: &str,
        name: &str,
        price: u64,
    ) -> wasmtime::Result<FuncType>;
}

macro_rules! host_function {
    ($($parameter:ident)*) => {
        impl<F, R, $($parameter),*> HostFunction<($($parameter,)*), R> for F
        where
            F: Fn(&mut Call<'_>, $($parameter),*) -> wasmtime::Result<R> + Send + Sync + 'static,
            $($parameter: WasmTy + 'static,)*
            R: 'static,
            wasmtime::Result<R>: WasmRet,
        {
            #[allow(non_snake_case, reason = "a parameter is named as its type is")]
            fn define(
                self: Arc<Self>,
                linker: &mut Linker<State>,
                module: &str,
                name: &str,
                price: u64,
            ) -> wasmtime::Result<FuncType> {
                let (_, memory) = host_module(module);
                let parameters: Vec<ValType> = vec![$($parameter::valtype()),*];
                let ty = <wasmtime::Result<R> as WasmRet>::func_type(
                    linker.engine(),
                    parameters.into_iter(),
                );
                linker.func_wrap(
                    module,
                    name,
                    move |caller: Caller<'_, State>, $($parameter: $parameter),*| {
                        let mut call = Call::begin(caller, memory, price)?;
                        Call::end(self(&mut call, $($parameter),*))
                    },
                )?;
                Ok(ty?)
            }
        }
    };
}

host_function!();
host_function!(A);
host_function!(A B);
host_function!(A B C);
host_function!(A B C D);
host_function!(A B C D E);
host_function!(A B C D E G);
host_function!(A B C D E G H);
host_function!(A B C D E G H I);
host_function!(A B C D E G H I J);
host_function!(A B C D E G H I J K);
host_function!(A B C D E G H I J K L);
host_function!(A B C D E G H I J K L M);

/// A function whose type is known only when the program runs.
pub(crate) struct Dynamic<F> {
    pub(crate) parameters: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    pub(crate) function: F,
}

impl<F> HostFunction<Vec<Val>, Vec<Val>> for Dynamic<F>
where
    F: Fn(&mut Call<'_>, &[Val]) -> wasmtime::Result<Vec<Val>> + Send + Sync + 'static,
{
    fn define(
        self: Arc<Self>,
        linker: &mut Linker<State>,
        module: &str,
        name: &str,
        price: u64,
    ) -> wasmtime::Result<FuncType> {
        let (parameters, results) = (self.parameters.clone(), self.results.clone());
        let ty = FuncType::new(linker.engine(), parameters, results);
        let wanted = ty.clone();
        let (_, memory) = host_module(module);
        linker.func_new(module, name, ty.clone(), move |caller, parameters, results| {
            let mut call = Call::begin(caller, memory, price)?;
            let given = Call::end((self.function)(&mut call, parameters))?;
            let fits =
                |(value, ty): (&Val, _)| value.matches_ty(&call.caller, &ty).unwrap_or(false);
            let mut typed = given.iter().zip(wanted.results());
            if given.len() != results.len() || !typed.all(fits) {
                let what = format!("a host function gave other results than its type's: {wanted}");
                return Err(wasmtime::Error::msg(what).context(OwnFailure));
            }
            results.clone_from_slice(&given);
            Ok(())
        })?;
        Ok(ty)
    }
}

/// Gives a linker one function under the name of a module, and says its type.
type Define = Arc<dyn Fn(&mut Linker<State>, &str) -> wasmtime::Result<FuncType> + Send + Sync>;

/// The functions of one embedder.
#[derive(Clone, Default)]
pub(crate) struct Functions(Vec<(String, String, Define)>);

impl Functions {
    /// Adds one; it takes the place of an earlier one of the same name, and of WASI's.
    pub(crate) fn add<P, R>(
        &mut self,
        module: &str,
        name: &str,
        price: u64,
        function: impl HostFunction<P, R>,
    ) {
        let function = Arc::new(function);
        let (from, called) = (module.to_owned(), name.to_owned());
        self.0.retain(|(module, name, _)| (module, name) != (&from, &called));
        let define: Define = {
            let called = called.clone();
            Arc::new(move |linker, from| Arc::clone(&function).define(linker, from, &called, price))
        };
        self.0.push((from, called, define));
    }

    #[cfg(feature = "pool")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives `linker` the one that an import asks for, and says its type; `None` where there
    /// is none. A library's import names its memory behind the module.
    pub(crate) fn define(
        &self,
        linker: &mut Linker<State>,
        module: &str,
        name: &str,
    ) -> wasmtime::Result<Option<FuncType>> {
        let (own, _) = host_module(module);
        let found = self.0.iter().find(|(from, called, _)| from == own && called == name);
        found.map(|(_, _, define)| define(linker, module)).transpose()
    }
}
