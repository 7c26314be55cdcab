//! What the optimiser would take too long for is compiled without it, and runs the same.

use bls_tests::programs::{Home, run};
use std::fmt::Write as _;

/// Sets each of `count` globals behind branches whose arms are not alike, and adds them up.
fn between_branches(count: usize) -> String {
    let mut text = String::from("(module (memory (export \"memory\") 1) (func $odd)");
    text += &"(global (mut i32) (i32.const 0))".repeat(count);
    text += "(func (export \"sum\") (param $x i32) (result i32)";
    for index in 0..count {
        let _ = write!(
            text,
            "(if (i32.and (local.get $x) (i32.const 1)) (then (call $odd)))
             (global.set {index} (local.tee $x (i32.add (local.get $x) (i32.const 1))))"
        );
    }
    text += "(local.set $x (i32.const 0))";
    for index in 0..count {
        let _ = write!(text, "(local.set $x (i32.add (local.get $x) (global.get {index})))");
    }
    text + "(local.get $x)))"
}

#[test]
fn a_module_that_is_not_optimised_says_so_and_runs() {
    let home = Home::new();
    for (count, optimised) in [(200, true), (3000, false)] {
        let input = home.path("globals.wat");
        std::fs::write(&input, between_branches(count)).unwrap();
        let artifact = home.path("globals.bls");
        let said = run(home.compile_command(&input).arg("-o").arg(&artifact), b"").expect(0);
        assert_eq!(said.stderr.contains(", not optimised ("), !optimised, "{}", said.stderr);
        let json = run(home.compile_command(&input).arg("--json").arg("-o").arg(&artifact), b"");
        let json: serde_json::Value = serde_json::from_slice(&json.expect(0).stdout).unwrap();
        assert_eq!(json["optimised"], optimised);

        let sum = (1..=count).sum::<usize>().to_string();
        let report = home.path("report.json");
        let mut command = home
            .load_command(&["--invoke", "sum", "--report", report.to_str().unwrap()], &artifact);
        let ended = run(command.arg("0"), b"").expect(0);
        assert_eq!(ended.text().trim(), sum);
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        let fuel = report["fuel"]["consumed"].as_u64().unwrap();
        let with = |fuel: u64| {
            let fuel = fuel.to_string();
            home.load(&["--invoke", "sum", "--fuel", &fuel], &artifact, &["0"])
        };
        assert_eq!(with(fuel).expect(0).text().trim(), sum);
        let _ = with(fuel - 1).expect(123);
    }
}
