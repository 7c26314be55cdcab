//! The header is what cbindgen makes of the sources.
//!
//! `BLS_HEADER=write cargo test -p bls-capi --test header` writes it anew.

use cbindgen::{Builder, Config, Language, Style};
use std::path::Path;

/// In this order they stand in the header.
const SOURCES: [&str; 9] =
    ["error", "load", "value", "runner", "stdio", "function", "ended", "instance", "pool"];

/// What a caller must know before the first function.
const PREAMBLE: &str = include_str!("preamble.h");

/// The header of the sources as they are.
fn header(folder: &Path) -> String {
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
        builder = builder.with_src(folder.join("src").join(name).with_extension("rs"));
    }
    let mut text = Vec::new();
    builder.generate().expect("bindings").write(&mut text);
    String::from_utf8(text).expect("text")
}

#[test]
fn the_header_is_made_of_the_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = header(folder);
    let file = folder.join("bls.h");
    if std::env::var_os("BLS_HEADER").is_some_and(|what| what == "write") {
        std::fs::write(&file, &made).expect("bls.h");
    }
    let committed = std::fs::read_to_string(&file).expect("bls.h");
    assert!(committed == made, "bls.h is out of date: BLS_HEADER=write writes it");
}
