//! The broker: what a guest may do beyond files, in a process of its own (BROKER.md).
//!
//! ```text
//! bls-load ── Setup, requests ──► front ── Start, Close ──► starter ──► extensions
//!          ◄── answers, descriptors ──┘  ◄── descriptors ──────┘
//!                                     └── HTTP, TCP ──► the network
//! ```
//!
//! The *front* reads what the host asks for and speaks with the network; it cannot execute
//! anything. The *starter*, which is there only where extensions are granted, starts programs
//! and speaks with nobody but the front. Both give up what they do not need before the first
//! request ([`wall`]), and end with the socket.
//!
//! | module | does |
//! |---|---|
//! | [`frame`] | frames over a socket, with descriptors |
//! | [`session`] | one request, one answer: what is granted, and how much of it is left |
//! | [`count`] | requests and bytes so far |
//! | [`net`] | names, addresses, connections |
//! | [`http`], [`rpc`] | requests by HTTP, and `http.request` of `bless.rpc_call` |
//! | [`starter`] | extensions |
//! | [`serve`] | the processes |
//! | [`program`] | the command line |
//!
//! Nothing of the set-up comes from a guest, and nothing that a guest asks for is done that
//! the set-up does not grant. `unsafe` is in `sys` only.

#![deny(unsafe_code)]

pub mod count;
pub mod frame;
pub mod http;
pub mod net;
pub mod program;
pub mod rpc;
pub mod serve;
pub mod session;
pub mod starter;
#[allow(unsafe_code, reason = "the one place for it; each block carries its argument")]
mod sys;
pub mod wall;
