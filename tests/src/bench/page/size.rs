//! Sizes: of the programs, with the libraries that they load, and of what they compile.

use super::super::artifacts::length;
use super::super::peers::on_path;
use super::super::table::{Table, dash, megabytes};
use super::Section;
use super::run::Programs;
use super::ways::{Kit, Way};
use crate::programs::{compiler, run};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Measures.
pub(super) fn section(kit: &Kit<'_>, programs: &Programs) -> Section {
    let weights = programs.weights();
    let compiled = |way: Way| {
        weights.compiled.iter().find(|(known, _)| *known == way).map(|(_, bytes)| *bytes)
    };
    let of = |way: Way| (way.name(), kit.program(way), compiled(way));
    let (_, _, native) = of(Way::Native);
    let rows: [(&str, Option<PathBuf>, Option<u64>); 11] = [
        of(Way::Metered),
        of(Way::Unmetered),
        of(Way::Minimal),
        ("bls-compile", Some(compiler()), None),
        of(Way::Wasmtime),
        of(Way::WasmtimeMin),
        of(Way::WasmEdge),
        of(Way::Wamr),
        ("WAMR, compiler", on_path("wamrc"), None),
        ("Node", kit.program(Way::Node), None),
        (Way::Native.name(), None, native),
    ];
    let mut table = Table::new(&["program", "MB", "with its libraries, MB", "compiled, MB"]);
    let mut figures = Vec::new();
    for (name, path, compiled) in rows {
        if path.is_none() && compiled.is_none() {
            continue;
        }
        let own = path.as_deref().map(length);
        let whole = path
            .as_deref()
            .map(|path| length(path) + libraries(path).iter().map(|one| length(one)).sum::<u64>());
        let shown = |bytes: Option<u64>| bytes.map_or_else(dash, megabytes);
        table.row(vec![name.to_owned(), shown(own), shown(whole), shown(compiled)]);
        figures.push(json!({
            "name": name,
            "bytes": own,
            "with_libraries_bytes": whole,
            "compiled_bytes": compiled,
        }));
    }
    Section {
        name: "size",
        title: "Sizes",
        text: format!(
            "Programs as they lie on the disk, alone and with the shared libraries that they load, the C \
             library included. *compiled*: {} of the programs above, which every peer can compile, {} MB as \
             WebAssembly: artifacts of bls-compile hold a manifest and a signature beside the code.",
            weights.programs,
            megabytes(weights.wasm)
        ),
        table,
        figures: json!({
            "programs": weights.programs,
            "wasm_bytes": weights.wasm,
            "rows": figures,
        }),
        plot: None,
    }
}

/// The shared libraries that a program loads, as its own dynamic linker names them. A static
/// program loads none, and says its version instead.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let mut command = Command::new(program);
    let ended = run(command.arg("--version").env("LD_TRACE_LOADED_OBJECTS", "1"), b"");
    named(&ended.text())
}

/// The files in what a dynamic linker prints (ld.so(8), `LD_TRACE_LOADED_OBJECTS`).
fn named(text: &str) -> Vec<PathBuf> {
    let line = |line: &str| {
        let (words, _) = line.strip_prefix('\t')?.rsplit_once(" (0x")?;
        let path = words.split_once(" => ").map_or(words, |(_, path)| path);
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_what_the_dynamic_linker_names() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f11)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f22)\n\
                    bls-load 0.1.0 (wasmtime 48)\n";
        let names: Vec<String> =
            named(text).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
