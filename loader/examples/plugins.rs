//! A host with plug-ins: each an artifact, each with as many guests at once as there is work.
//!
//!     bls-compile key export > builder.pub && bls-compile -o shout.bls loader/examples/shout.wat
//!     cargo run --release -p bls-loader --features pool --example plugins -- builder.pub shout.bls
//!
//! A plug-in exports `allocate(length) -> address` and `transform(address, length) -> length`,
//! which changes text in place, and may call `host.log(address, length)`. Nothing that a
//! plug-in does harms another, or the host: it has its own memory, a budget of fuel for each
//! call, and a time.

use bls_loader::{Call, CallError, Instance, Loader, Pool, Runner, Trust};
use std::time::Duration;

/// Fuel for one text.
const FUEL: u64 = 10_000_000;

/// Loads a plug-in.
fn load(loader: &Loader, path: &str) -> Result<Pool, bls_loader::Error> {
    Runner::new(loader.open(path)?)
        .function("host", "log", 1000, |call: &mut Call<'_>, address: u32, length: u32| {
            // What the guest chooses the size of, it pays for.
            call.charge(u64::from(length))?;
            let text = String::from_utf8_lossy(call.read(address, length)?).into_owned();
            println!("plug-in: {text}");
            Ok(())
        })
        .memory(16 << 20)
        .timeout(Duration::from_millis(100))
        .pool(64)
}

/// Lets a guest of it change a text.
fn transform(guest: &mut Instance, text: &str) -> Result<String, CallError> {
    guest.set_fuel(FUEL);
    let length = text.len() as u32;
    let address = guest.call::<u32, u32>("allocate", length)?;
    guest.write(address, text.as_bytes())?;
    let length = guest.call::<(u32, u32), u32>("transform", (address, length))?;
    Ok(String::from_utf8_lossy(guest.read(address, length)?).into_owned())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let key = words.next().ok_or("plugins KEY PLUG-IN...")?;
    let loader = Loader::new(Trust::file(key)?);
    let plugins = words.map(|path| load(&loader, &path)).collect::<Result<Vec<_>, _>>()?;
    std::thread::scope(|scope| {
        for number in 0..4 {
            let plugins = &plugins;
            scope.spawn(move || {
                let mut text = format!("text number {number}");
                for plugin in plugins {
                    // A plug-in that fails changes nothing, and the others go on.
                    let changed = plugin.instantiate();
                    match changed.and_then(|mut guest| transform(&mut guest, &text)) {
                        Ok(changed) => text = changed,
                        Err(error) => eprintln!("{error}"),
                    }
                }
                println!("{text}");
            });
        }
    });
    Ok(())
}
