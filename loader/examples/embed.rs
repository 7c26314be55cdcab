//! Runs an artifact with limits, and says what came of it.
//!
//!     bls-compile key export > builder.pub && bls-compile fixtures/c/hello.wasm
//!     cargo run --release -p bls-loader --example embed -- builder.pub hello.bls

use bls_loader::{Loader, Runner, Sink, Trust};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(key), Some(artifact)) = (words.next(), words.next()) else {
        return Err("embed KEY ARTIFACT [ARGUMENT]...".into());
    };
    // Nothing that this key has not signed gets any further.
    let verified = Loader::new(Trust::file(key)?).open(artifact)?;
    let ended = Runner::new(verified)
        .args(words)
        .fuel(3_000_000_000)
        .memory(64 << 20)
        .timeout(Duration::from_secs(5))
        .stdout(Sink::bytes())
        .run()?;
    print!("{}", String::from_utf8_lossy(&ended.stdout));
    println!("{}", ended.outcome);
    if let Some(fuel) = ended.fuel {
        println!("{} units of fuel, {} bytes of memory", fuel.used, ended.peak_memory);
    }
    Ok(())
}
