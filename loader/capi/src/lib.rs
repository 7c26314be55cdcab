//! The C API: bls-loader for C, and for whatever calls C.
//!
//! The library `libbls` and its header `bls.h`, which cbindgen makes of this crate: the
//! comments of the public items here are the header's. Each function is one of bls-loader's,
//! with what crosses the border checked: a pointer may be NULL, a text may be no UTF-8, a
//! handle may be used up or in use. Guarantees that no panic leaves this crate, that nothing
//! is kept of an argument behind its call but where the header says so, and that there is no
//! state beside the handles. May assume what the header asks of a caller (its first comment):
//! that a pointer which is not NULL leads to what its type says. Does not print, exit, or set
//! `errno` on purpose.
//!
//! `unsafe` is where a pointer becomes a text, a slice or a value, and where C's functions are
//! called.

#![deny(unsafe_op_in_unsafe_fn)]
#![allow(non_camel_case_types, reason = "these are the names in C")]
#![allow(
    clippy::missing_safety_doc,
    reason = "what a caller owes is one rule, in the first comment of bls.h"
)]

mod border;
pub mod ended;
pub mod error;
pub mod function;
pub mod instance;
pub mod load;
pub mod pool;
pub mod runner;
pub mod stdio;
pub mod value;
