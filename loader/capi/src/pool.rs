//! Many guests of one artifact in a process.

use crate::border::{given, make};
use crate::ended::bls_ended;
use crate::error::bls_error;
use crate::instance::bls_instance;
use crate::runner::bls_runner;
use bls_loader::Pool;
use std::mem::MaybeUninit;

/// Guests of one artifact, as many at once as it was made for, from memory that is kept between
/// them. Threads share it; each guest has its own fuel, time, memory, streams and grants, and
/// finds everything as the module says. Free it with bls_pool_free; its guests stay.
#[derive(Debug)]
pub struct bls_pool(Pool);

impl bls_pool {
    pub(crate) fn new(pool: Pool) -> Self {
        Self(pool)
    }
}

/// Makes a runner of a guest that gets what the pool was made with, to ask for more, or other.
/// Its own functions, its stack and whether it can be stopped are the pool's, and its memory is
/// at most the pool's.
#[unsafe(no_mangle)]
pub extern "C" fn bls_pool_runner(
    pool: Option<&bls_pool>,
    made: Option<&mut MaybeUninit<Option<Box<bls_runner>>>>,
) -> Option<Box<bls_error>> {
    make(made, || Ok(bls_runner::new(given(pool, "the pool")?.0.runner())))
}

/// Runs a guest to its end. It is an error, too, when as many guests as the pool has room for
/// are there.
#[unsafe(no_mangle)]
pub extern "C" fn bls_pool_run(
    pool: Option<&bls_pool>,
    made: Option<&mut MaybeUninit<Option<Box<bls_ended>>>>,
) -> Option<Box<bls_error>> {
    make(made, || Ok(given(pool, "the pool")?.0.run()?.into()))
}

/// Makes a guest to be called. It is an error, too, when as many guests as the pool has room for
/// are there.
#[unsafe(no_mangle)]
pub extern "C" fn bls_pool_instantiate(
    pool: Option<&bls_pool>,
    made: Option<&mut MaybeUninit<Option<Box<bls_instance>>>>,
) -> Option<Box<bls_error>> {
    make(made, || Ok(bls_instance::new(given(pool, "the pool")?.0.instantiate()?)))
}

/// Frees a pool. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_pool_free(pool: Option<Box<bls_pool>>) {
    drop(pool);
}
