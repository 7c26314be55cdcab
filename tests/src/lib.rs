//! What the black-box tests and benchmarks share.
//!
//! The tests use the two programs the way a person does; where a property can
//! only be seen from inside (the fuel at each host call, every bit of an
//! artifact), they use the public libraries in process.

#![forbid(unsafe_code)]

pub mod bench;
pub mod broker;
pub mod caches;
pub mod components;
pub mod court;
pub mod cri;
pub mod deep;
pub mod deltas;
pub mod devices;
pub mod differential;
pub mod distribution;
pub mod embedded;
pub mod engines;
pub mod fake_outside;
pub mod faulty;
pub mod fuzzing;
pub mod guest;
pub mod host_driver;
pub mod host_sequences;
#[cfg(target_arch = "x86_64")]
pub mod hostile;
pub mod installed;
pub mod installs;
pub mod kernel;
pub mod lines;
pub mod linked;
pub mod malformed;
pub mod modules;
pub mod mutate;
pub mod nans;
pub mod node;
pub mod oracle;
pub mod pair;
pub mod parts;
pub mod peer;
pub mod ports;
pub mod preview1;
pub mod programs;
pub mod registries;
pub mod runs;
pub mod sabotage;
pub mod scene;
pub mod serve;
pub mod spec;
pub mod typed;
pub mod users;
pub mod wasi_suite;
