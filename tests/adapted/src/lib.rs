//! Programs for preview 1 as components, made by the tools of others; and the two programs, run
//! the way a person runs them. What runs and records programs is the same source as in bls-tests.

#[path = "../../src/programs.rs"]
pub mod programs;
#[path = "../../src/runs.rs"]
pub mod runs;
#[path = "../../src/wasi_suite.rs"]
pub mod wasi_suite;

use std::path::Path;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_component::ComponentEncoder;

/// What the adapter imports the program by, by which the linker knows it; and another name.
const KNOWN: &[u8] = b"__main_module__";
const STRANGE: &[u8] = b"__some_module__";

/// The component that `wasm-tools component new` makes of a command, by the adapter.
///
/// # Errors
/// Why it makes none.
///
/// # Panics
/// When the file is no module.
pub fn component(file: &Path) -> Result<Vec<u8>, String> {
    let module = wat::parse_file(file).expect("a module");
    let name = WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let encoder = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.adapter(name, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER))
        .map(|encoder| encoder.validate(true));
    encoder.and_then(|mut encoder| encoder.encode()).map_err(|error| format!("{error:#}"))
}

/// The same component with an adapter that the linker does not know: it stays, and WASI 0.2
/// stands behind it.
///
/// # Panics
/// When it has no adapter.
#[must_use]
pub fn with_strange_adapter(mut component: Vec<u8>) -> Vec<u8> {
    let mut places = 0;
    for at in 0..component.len().saturating_sub(KNOWN.len()) {
        if component[at..].starts_with(KNOWN) {
            component[at..at + KNOWN.len()].copy_from_slice(STRANGE);
            places += 1;
        }
    }
    assert!(places > 0, "no adapter");
    component
}
