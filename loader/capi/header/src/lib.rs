//! Makes the header of the C API, as cbindgen does, of the sources beside it.
//!
//! A package of its own, so that what cbindgen needs changes no feature of what the engine is
//! built from.

use cbindgen::{Builder, Config, Language, Style};
use std::path::Path;

/// In this order their functions stand in the header.
const SOURCES: [&str; 9] =
    ["error", "load", "value", "runner", "stdio", "function", "ended", "instance", "pool"];

/// What a caller must know before the first function.
const PREAMBLE: &str = include_str!("preamble.h");

/// The header of the sources in `folder`, as they are.
///
/// # Panics
/// When one cannot be read, or is no Rust.
#[must_use]
pub fn header(folder: &Path) -> String {
    let config = Config {
        language: Language::C,
        style: Style::Type,
        include_guard: Some("BLS_H".into()),
        cpp_compat: true,
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(Into::into).to_vec(),
        header: Some(PREAMBLE.trim_end().to_owned()),
        usize_is_size_t: true,
        line_length: 96,
        ..Config::default()
    };
    let mut builder = Builder::new().with_config(config);
    for name in SOURCES {
        builder = builder.with_src(folder.join(name).with_extension("rs"));
    }
    let mut text = Vec::new();
    builder.generate().expect("the sources are Rust").write(&mut text);
    String::from_utf8(text).expect("a header is text")
}
