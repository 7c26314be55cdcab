//! What the tests of the schema of reports need: the two programs, run the way a person runs
//! them. The same source as in bls-tests.

#[path = "../../src/programs.rs"]
pub mod programs;
