//! What keeps control flow inside generated code: calls of the wrong type trap, code for Arm
//! signs its return addresses, and who demands it gets nothing else.

use bls_artifact::artifact::Contents;
use bls_artifact::envelope::Envelope;
use bls_artifact::manifest::{Manifest, Statement};
use bls_artifact::target::Target;
use bls_tests::programs::{Home, fixtures, run};
use object::{Object as _, ObjectSection as _};
use std::path::Path;
use std::process::Command;

/// Instructions of Arm, as numbers. A `Z` signs with nothing beside the key, an `SP` with the
/// stack pointer too.
mod arm {
    /// Sign the return address.
    pub(super) const SIGNS: [u32; 2] =
        [0xd503_231f /* paciaz */, 0xd503_233f /* paciasp */];
    /// Authenticate it.
    pub(super) const AUTHENTICATES: [u32; 2] =
        [0xd503_239f /* autiaz */, 0xd503_23bf /* autiasp */];
    /// Returns.
    pub(super) const RET: u32 = 0xd65f_03c0;
    /// `stp x29, x30, [sp, #-16]!`: begins a frame, and stores the return address.
    pub(super) const FRAME: u32 = 0xa9bf_7bfd;

    /// Whether it loads or stores the return address elsewhere than at a frame's beginning:
    /// a single register, `str x30, [...]`.
    pub(super) fn stores_return_address_alone(code: u32) -> bool {
        code & 0xffc0_001f == 0xf900_001e || code & 0xffe0_0c1f == 0xf800_0c1e
    }
}

/// An artifact's manifest, and its image for `target`.
fn part(artifact: &Path, target: Target) -> (Manifest, Vec<u8>) {
    let bytes = std::fs::read(artifact).unwrap();
    let (contents, parts) = Contents::parse(&bytes).unwrap();
    let envelope = Envelope::parse(contents.envelope).unwrap();
    let manifest = Statement::parse(envelope.payload()).unwrap();
    let index = manifest.parts.iter().position(|part| part.target == target).unwrap();
    let image = bls_tests::parts::image(&manifest.parts[index], parts[index]);
    (manifest, image)
}

/// The code of an image for Arm.
fn code(image: &[u8]) -> Vec<u32> {
    let file = object::File::parse(image).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let bytes = text.data().unwrap().chunks_exact(4);
    bytes.map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn functions_for_arm_authenticate_what_they_return_to() {
    let home = Home::new();
    let (mut frames, mut returns) = (0, 0);
    for fixture in [
        "c/compute.wasm",
        "wat/br-table.wat",
        "wat/call-indirect.wat",
        "wat/tail-calls.wat",
        "wat/exceptions.wat",
        "wat/gc-structs.wat",
    ] {
        let artifact = home.compile(&fixtures().join(fixture), &["--target", "aarch64"]);
        let (manifest, image) = part(&artifact, Target::Aarch64);
        assert_eq!(manifest.extensions["control-flow"], "1", "{fixture}");
        let code = code(&image);
        let at = |index: usize| format!("{fixture}: {:08x} at {:x}", code[index], index * 4);
        for (index, word) in code.iter().copied().enumerate() {
            // What is written down can be overwritten, so it is signed first.
            if word == arm::FRAME {
                frames += 1;
                assert!(arm::SIGNS.contains(&code[index - 1]), "{}", at(index));
            }
            assert!(!arm::stores_return_address_alone(word), "{}", at(index));
            if word == arm::RET {
                returns += 1;
                assert!(arm::AUTHENTICATES.contains(&code[index - 1]), "{}", at(index));
            }
        }
    }
    println!("{frames} frames, {returns} returns");
    assert!(frames > 100 && returns > 100);
}

#[test]
fn the_manifest_says_it_of_arm_alone_and_inspect_of_each() {
    let home = Home::new();
    let hello = fixtures().join("wat/hello.wat");
    let artifact = home.compile(&hello, &[]);
    assert!(part(&artifact, Target::host().unwrap()).0.extensions.is_empty());
    let artifact = home.compile(&hello, &["--target", "x86_64,aarch64,pulley64"]);
    let mut command = Command::new(bls_tests::programs::compiler());
    let shown = run(command.arg("inspect").arg(&artifact), b"").expect(0).text();
    let lines: Vec<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("  flow     ")).collect();
    assert_eq!(
        lines,
        [
            "calls check types; Spectre masks",
            "calls check types; Spectre masks; signed return addresses",
            "not said",
        ]
    );
}

#[test]
fn a_call_of_another_type_or_of_nothing_traps() {
    let home = Home::new();
    let path = home.path("calls.wat");
    let text = r#"(module
      (type $wanted (func (param i32) (result i32)))
      (type $other (func (param i64) (result i32)))
      (table 4 funcref)
      (elem (i32.const 0) $right $wrong)
      (func $right (type $wanted) (i32.add (local.get 0) (i32.const 1)))
      (func $wrong (type $other) (i32.wrap_i64 (local.get 0)))
      (func (export "call") (param i32) (result i32)
        (call_indirect (type $wanted) (i32.const 41) (local.get 0))))"#;
    std::fs::write(&path, text).unwrap();
    let artifact = home.compile(&path, &[]);
    for (index, kind) in [
        ("1", "indirect-call-type-mismatch"),
        ("2", "indirect-call-to-null"),
        ("4", "table-out-of-bounds"),
        ("-1", "table-out-of-bounds"),
    ] {
        let report = home.path("report.json");
        let options = ["--report", &report.to_string_lossy(), "--invoke", "call"];
        let _ = home.load(&options, &artifact, &[index]).expect(134);
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(report["outcome"]["trap"]["kind"], kind, "{index}");
    }
    assert_eq!(home.load(&["--invoke", "call"], &artifact, &["0"]).expect(0).text(), "42\n");
}

#[test]
fn who_demands_it_is_given_what_this_compiler_makes() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let _ = home.load(&["--require-control-flow"], &artifact, &[]).expect(0);
    let policy = home.path("policy.json");
    std::fs::write(&policy, r#"{"version": 1, "require": ["control-flow"]}"#).unwrap();
    let policy = policy.to_string_lossy().into_owned();
    let _ = home.load(&["--policy", &policy], &artifact, &[]).expect(0);
}
