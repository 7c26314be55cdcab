//! The guests of `fixtures/debug`, which trap three calls deep, and the lines of their sources that
//! a report names.
//!
//! Guarantees that what is expected is read from the sources themselves, where comments mark the
//! lines. Runs nothing.

use crate::programs::fixtures;
use serde_json::Value;
use std::path::PathBuf;

/// The guests that trap, and the source of each.
pub const GUESTS: [(&str, &str); 2] = [("deep-c.wasm", "deep.c"), ("deep-rust.wasm", "deep.rs")];

/// The path of one of them.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    fixtures().join("debug").join(name)
}

/// Where the comment stands: `debug/FILE:LINE`.
///
/// # Panics
/// When it stands nowhere.
#[must_use]
#[track_caller]
pub fn marked(file: &str, mark: &str) -> String {
    let text = std::fs::read_to_string(fixture(file)).expect("a source");
    let mark = format!("// {mark}");
    let line = text.lines().position(|line| line.ends_with(&mark)).expect("a line that is marked");
    format!("debug/{file}:{}", line + 1)
}

/// The lines of the source that a frame of a report names, those of its own tool chain aside.
#[must_use]
pub fn lines(frame: &Value) -> Vec<String> {
    let outer = frame["inlined_into"].as_array().cloned().unwrap_or_default();
    let all = [frame.clone()].into_iter().chain(outer);
    all.filter_map(|line| {
        let file = line["file"].as_str().filter(|file| file.starts_with("debug/"))?;
        Some(format!("{file}:{}", line["line"]))
    })
    .collect()
}

/// The lines that the frames of a guest of `file` are, the innermost first.
///
/// # Panics
/// When a line is not marked.
#[must_use]
#[track_caller]
pub fn expected(file: &str) -> Vec<Vec<String>> {
    let at = |mark| marked(file, mark);
    vec![
        vec![at("traps"), at("inlined")],
        vec![at("calls inner")],
        vec![at("calls middle")],
        vec![at("calls outer")],
    ]
}
