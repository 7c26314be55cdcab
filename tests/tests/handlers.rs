//! Components that answer requests by HTTP (`wasi:http/incoming-handler`): what they are compiled
//! to speaks CGI (RFC 3875), variables and standard input in, an answer on standard output.

use bls_tests::programs::{Ended, Home, fixtures, run};
use std::fs;
use std::path::{Path, PathBuf};

/// What a server says of a request by POST.
const REQUEST: [&str; 8] = [
    "REQUEST_METHOD=POST",
    "REQUEST_URI=/a%20b?q=1",
    "HTTP_HOST=example.org:80",
    "CONTENT_LENGTH=10",
    "CONTENT_TYPE=text/plain",
    "HTTP_X_A=one",
    "HTTP_CONNECTION=close",
    "OTHER=1",
];

fn fixture() -> PathBuf {
    fixtures().join("component/handler.wat").canonicalize().expect("a fixture")
}

/// The fixture, where its text is changed in these places.
fn changed(home: &Home, changes: &[(&str, &str)]) -> PathBuf {
    home.changed(&fixture(), changes)
}

/// Answers a request with these variables and this body.
fn answer(home: &Home, component: &Path, variables: &[&str], body: &[u8]) -> Ended {
    let artifact = home.compile(component, &[]);
    let words: Vec<String> = variables.iter().map(|one| format!("--env={one}")).collect();
    run(&mut home.load_command(&words, &artifact), body)
}

#[test]
fn a_request_is_answered_by_cgi() {
    let home = Home::new();
    // What stands behind the body is nobody's.
    let ended = answer(&home, &fixture(), &REQUEST, b"hello body, and more").expect(0);
    let head = "Status: 201\r\nx-b: 1\r\nx-b: 2\r\ncontent-type: text/plain\r\n\r\n";
    assert_eq!(ended.text(), format!("{head}/a%20b?q=1\nexample.org:80\none\nhello body"));
}

/// A server that does not say how the request began; its path is given without escapes.
#[test]
fn a_path_is_put_together_where_it_is_not_given() {
    let home = Home::new();
    let variables = [
        "REQUEST_METHOD=POST",
        "SCRIPT_NAME=/s",
        "PATH_INFO=/a b?",
        "QUERY_STRING=q=%20",
        "SERVER_NAME=example.org",
        "SERVER_PORT=8080",
        "HTTP_X_A=one",
    ];
    let ended = answer(&home, &fixture(), &variables, b"not a body").expect(0);
    let text = ended.text();
    let body = text.split_once("\r\n\r\n").expect("a head").1;
    assert_eq!(body, "/s/a%20b%3F?q=%20\nexample.org:8080\none\n");
}

#[test]
fn without_a_request_it_says_how_it_is_run() {
    let home = Home::new();
    let ended = answer(&home, &fixture(), &["OTHER=1"], b"").expect(1);
    let ended = ended.says(&["this program answers requests by HTTP: run it by bls-serve"]);
    assert_eq!(ended.text(), "");
}

#[test]
fn an_error_is_an_answer_and_none_is_an_error() {
    let home = Home::new();
    let given =
        "(call $set (local.get $outparam) (i32.const 0) (local.get $response) (i32.const 0)";
    let refused = "(call $set (local.get $outparam) (i32.const 1) (i32.const 6) (i32.const 0)";
    let component = changed(&home, &[(given, refused)]);
    let ended = answer(&home, &component, &REQUEST, b"hello body").expect(0);
    let ended = ended.says(&["the handler answered with the error connection-refused\n"]);
    assert_eq!(ended.text(), "Status: 500\r\n\r\n");

    let none = "(drop (i32.const 0)) (drop (local.get $response)) (drop (i32.const 0)";
    let rest =
        "        (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) ;; SET";
    let component = changed(&home, &[(&format!("{given}\n{rest}"), &format!("{none})"))]);
    let ended = answer(&home, &component, &REQUEST, b"hello body").expect(1);
    let ended = ended.says(&["the handler returned without an answer\n"]);
    assert_eq!(ended.text(), "");
}

#[test]
fn a_body_that_is_not_finished_is_said() {
    let home = Home::new();
    let finish =
        "(call $finish (local.get $answer) (i32.const 0) (i32.const 0) (i32.const 0)) ;; FINISH";
    let component = changed(&home, &[(finish, "(call $drop-body (local.get $answer)) (return)")]);
    let ended = answer(&home, &component, &REQUEST, b"hello body").expect(134);
    let ended = ended.says(&["the handler did not finish the body of its answer\n"]);
    assert!(ended.text().ends_with("hello body"));
}

/// A field says 12 bytes, of which 10 and 3 are written: the stream fails, and its error and
/// the body's say why.
#[test]
fn a_body_is_as_long_as_a_field_says() {
    let home = Home::new();
    let status = "(call $fields.append (local.get $fields) (i32.const 1144) (i32.const 6)
        (i32.const 1152) (i32.const 3) (i32.const 0)) ;; FIELDS";
    let length = "(call $fields.append (local.get $fields) (i32.const 1128) (i32.const 14)
        (i32.const 1120) (i32.const 2) (i32.const 0))";
    let set = ";; SET\n      (call $line (local.get $out))";
    let written = ";; SET
      (call $write (local.get $out) (i32.const 1024) (i32.const 3) (i32.const 64))
      (call $is (i32.load8_u (i32.const 64)) (i32.const 1))
      (call $is (i32.load8_u (i32.const 68)) (i32.const 0))
      (call $error-code (i32.load (i32.const 72)) (i32.const 0))
      (call $is (i32.load8_u (i32.const 0)) (i32.const 1))
      (call $is (i32.load8_u (i32.const 8)) (i32.const 28))
      (call $drop-error (i32.load (i32.const 72)))
      (call $drop-output (local.get $out))
      (call $finish (local.get $answer) (i32.const 0) (i32.const 0) (i32.const 0))
      (call $is (i32.load8_u (i32.const 0)) (i32.const 1))
      (call $is (i32.load8_u (i32.const 8)) (i32.const 28))
      (call $is (i32.load (i32.const 24)) (i32.const 13))
      (return)";
    let component = changed(&home, &[(status, length), (set, written)]);
    let ended = answer(&home, &component, &REQUEST, b"hello body").expect(134);
    let ended = ended.says(&["the handler did not finish the body of its answer\n"]);
    assert!(ended.text().ends_with("content-length: 12\r\n\r\n/a%20b?q=1"));
}

#[test]
fn what_breaks_a_rule_traps() {
    let home = Home::new();
    for (from, to) in [
        // A stream outlives the body it is of.
        ("(call $drop-input (local.get $in)) ;; CHILD", ""),
        // A handle of another type, and one that was given away.
        ("(call $drop-request (local.get $request))", "(call $drop-request (local.get $body))"),
        (
            "(call $is (call $status (local.get $response)) (i32.const 200))",
            "(drop (call $response (local.get $fields)))",
        ),
    ] {
        let component = changed(&home, &[(from, to)]);
        let _ = answer(&home, &component, &REQUEST, b"hello body").expect(134);
    }
}

#[test]
fn a_handler_of_another_type_is_refused() {
    let home = Home::new();
    let text = r#"(component
        (core module $m (func (export "handle")))
        (core instance $i (instantiate $m))
        (func $handle (canon lift (core func $i "handle")))
        (instance $e (export "handle" (func $handle)))
        (export "wasi:http/incoming-handler@0.2.0" (instance $e)))"#;
    fs::write(home.path("other.wat"), text).expect("a file");
    let ended = run(&mut home.compile_command(&home.path("other.wat")), b"").expect(1);
    let _ =
        ended.says(&["code: link.component-import-type\n", "wasi:http/incoming-handler#handle"]);
}
