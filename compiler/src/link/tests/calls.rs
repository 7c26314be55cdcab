//! `mcall` and `register`.

use super::{Run, refused, try_link};

/// A library with two methods, which registers them when it begins: `echo` gives the parameters
/// back, `fill` nothing. Its memory is full of 0x55, and `alloc` never gives anything back.
fn callee(methods: &str) -> String {
    let request = format!("{{\"methods\":{methods}}}").replace('\\', "\\5c").replace('"', "\\22");
    let length = methods.len() + "{\"methods\":}".len();
    format!(
        "(module
           (import \"blockless\" \"register\" (func $register (param i32 i32 i32 i32) (result i32)))
           (memory (export \"memory\") 1) (data (i32.const 0) \"{request}\")
           (global $top (mut i32) (i32.const 4096))
           (global $freed (mut i32) (i32.const 0))
           (global $result (export \"result\") (mut i32) (i32.const -1))
           (func (export \"alloc\") (param $size i32) (result i32)
             (global.get $top)
             (memory.fill (global.get $top) (i32.const 0x55) (local.get $size))
             (global.set $top (i32.add (global.get $top) (local.get $size))))
           (func (export \"dealloc\") (param $at i32) (param $size i32)
             (global.set $freed (i32.add (global.get $freed) (local.get $size))))
           (func (export \"freed\") (result i32) (global.get $freed))
           (func (export \"echo\") (param $in i32) (param $length i32) (param $out i32)
                 (param $size i32) (result i32)
             (if (i32.gt_u (local.get $length) (local.get $size))
               (then (local.set $length (local.get $size))))
             (memory.copy (local.get $out) (local.get $in) (local.get $length))
             (i32.const 77))
           (func (export \"fill\") (param i32 i32 i32 i32) (result i32) (i32.const 0))
           (func (export \"other\") (param i32) (result i32) (i32.const 0))
           (func (export \"_initialize\")
             (global.set $result
               (call $register (i32.const 0) (i32.const {length}) (i32.const 1024) (i32.const 512)))))"
    )
}

/// An entry that calls with a request, which a test puts into its memory at 0, and has a buffer
/// of `size` bytes at 4096, full of 0xaa.
const CALLER: &str = "(module
    (import \"blockless\" \"mcall\" (func $mcall (param i32 i32 i32 i32) (result i32)))
    (import \"callee\" \"result\" (global (mut i32)))
    (import \"callee\" \"freed\" (func $freed (result i32)))
    (memory (export \"memory\") 1)
    (func (export \"call\") (param $length i32) (param $size i32) (result i32)
      (memory.fill (i32.const 4096) (i32.const 0xaa) (i32.const 4096))
      (call $mcall (i32.const 0) (local.get $length) (i32.const 4096) (local.get $size)))
    (export \"registered\" (global 0))
    (export \"freed\" (func $freed)))";

impl Run {
    /// Calls; the result, and the buffer.
    fn request(&mut self, request: &[u8], size: usize) -> (i32, Vec<u8>) {
        let memory = self.instance.as_ref().unwrap().get_memory(&mut self.store, "memory").unwrap();
        memory.write(&mut self.store, 0, request).unwrap();
        let result = self.call("call", &[request.len() as i32, size as i32]);
        let buffer = memory.data(&self.store)[4096..4096 + size + 1].to_vec();
        assert_eq!(buffer[size], 0xaa, "nothing behind the buffer");
        (result, buffer[..size].to_vec())
    }

    /// The answer as text, up to the first 0.
    fn answer(&mut self, request: &str) -> (i32, String) {
        let (result, buffer) = self.request(request.as_bytes(), 512);
        let end = buffer.iter().position(|byte| [0, 0xaa].contains(byte)).unwrap_or(buffer.len());
        (result, String::from_utf8_lossy(&buffer[..end]).into_owned())
    }
}

fn run(methods: &str) -> Run {
    let mut run = Run::of(&[("callee", &callee(methods)), ("app", CALLER)]);
    assert_eq!(run.registered(), 0);
    run
}

impl Run {
    fn registered(&mut self) -> i32 {
        let instance = self.instance.as_ref().unwrap();
        let global = instance.get_global(&mut self.store, "registered").unwrap();
        global.get(&mut self.store).unwrap_i32()
    }
}

#[test]
fn parameters_are_passed_without_spaces_and_the_answer_comes_back_whole() {
    let mut run = run("[\"echo\",\"fill\"]");
    for (params, passed) in [
        (r#"{ "b": [1, -2.5e+3 ,true] , "a" : { } }"#, r#"{"b":[1,-2.5e+3,true],"a":{}}"#),
        (r#""a b \" \\""#, r#""a b \" \\""#),
        (r#""\\" "#, r#""\\""#),
        ("\t[ null\n,\rfalse ]\t", "[null,false]"),
        ("\"ä € 𝄞 \\ud834\\udd1e\"", "\"ä € 𝄞 \\ud834\\udd1e\""),
        ("0", "0"),
    ] {
        let request = format!(r#" {{ "mcall" : "callee::echo" , "params" :{params}}} "#);
        assert_eq!(run.answer(&request), (0, passed.to_owned()), "{request}");
    }
    assert_eq!(run.answer(r#"{"mcall":"callee::echo"}"#), (0, "null".to_owned()));
    // The last one counts, and what else stands there does not.
    let request = r#"{"x":{"mcall":"no"},"params":1,"mcall":"no","\u006dcall":"callee\u003a:ec\u0068o","params":2}"#;
    assert_eq!(run.answer(request), (0, "2".to_owned()));
    // All of the buffer comes back, and nothing that lay there.
    assert_eq!(run.request(br#"{"mcall":"callee::fill"}"#, 64), (0, vec![0; 64]));
    assert_eq!(run.request(br#"{"mcall":"callee::echo","params":12345}"#, 3), (0, b"123".to_vec()));
    assert_eq!(run.request(br#"{"mcall":"callee::echo","params":12345}"#, 0), (0, vec![]));
    let before = run.call("freed", &[]);
    assert_eq!(run.request(br#"{"mcall":"callee::echo","params":[1]}"#, 10).0, 0);
    assert_eq!(run.call("freed", &[]) - before, 3 + 10);
}

#[test]
fn what_was_not_registered_is_refused() {
    let mut run = run("[\"echo\",\"other\",\"absent\"]");
    let refused = (5, r#"{"code":-1,"message":"no mcall register."}"#.to_owned());
    for name in ["callee::fill", "callee::absent", "callee::", "callee", "", "echo", "app::call"] {
        assert_eq!(run.answer(&format!(r#"{{"mcall":"{name}","params":1}}"#)), refused, "{name}");
    }
    let (result, words) = run.answer(r#"{"mcall":"callee::other"}"#);
    assert!(result == 5 && words.contains("caller instance fail, "), "{words}");
    assert_eq!(run.request(br#"{"mcall":"no"}"#, 8), (5, b"{\"code\":".to_vec()));
    assert_eq!(run.request(br#"{"mcall":"no"}"#, 0), (5, vec![]));
}

#[test]
fn what_is_no_json_is_refused() {
    let mut run = run("[\"echo\"]");
    let deep = |depth: usize| {
        format!(r#"{{"mcall":"callee::echo","params":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    assert_eq!(run.answer(&deep(127)).0, 0);
    let long = deep(128);
    for request in [
        "",
        " ",
        "{",
        "}",
        "[]",
        "null",
        "{\"mcall\"}",
        "{\"mcall\":}",
        "{\"mcall\":\"callee::echo\"",
        "{\"mcall\":\"callee::echo\"}x",
        "{\"mcall\":\"callee::echo\",}",
        "{,}",
        "{\"mcall\" \"x\"}",
        "{\"mcall\":\"callee::echo\",\"params\":01}",
        "{\"mcall\":\"callee::echo\",\"params\":1.}",
        "{\"mcall\":\"callee::echo\",\"params\":-}",
        "{\"mcall\":\"callee::echo\",\"params\":1e}",
        "{\"mcall\":\"callee::echo\",\"params\":tru}",
        "{\"mcall\":\"callee::echo\",\"params\":[1 2]}",
        "{\"mcall\":\"callee::echo\",\"params\":[1,]}",
        "{\"mcall\":\"callee::echo\",\"params\":\"\n\"}",
        "{\"mcall\":\"callee::echo\",\"params\":\"\\x\"}",
        "{\"mcall\":\"callee::echo\",\"params\":\"\\u12g4\"}",
        "{\"mcall\":\"callee::echo\",\"params\":\"\\ud800\"}",
        "{\"mcall\":\"callee::echo\",\"params\":\"\\udc00\"}",
        "{\"mcall\":\"callee::echo\",\"params\":\"\\ud800\\u0041\"}",
        "{\"mcall\":\"callee::echo\",\"params\":\"",
        "{\"mcall\":\"callee::echo\",\"params\":\"\\",
        "{\"mcall\":\"callee::echo\",\"params\":{1:2}}",
        "{mcall:\"callee::echo\"}",
        "{\"mcall\":\"callee::echo\",\"params\":+1}",
        long.as_str(),
    ] {
        let (result, words) = run.answer(request);
        assert!(
            result == 5 && words.contains("\"error parse json: "),
            "{request:?} {result} {words}"
        );
    }
    for (request, words) in [
        ("{}", "mcall node not found"),
        (r#"{"params":1}"#, "mcall node not found"),
        (r#"{"mcall":1}"#, "mcall is no string"),
        (r#"{"mcall":null}"#, "mcall is no string"),
    ] {
        assert_eq!(
            run.answer(request).1,
            format!(r#"{{"code":-1,"message":"error parse json: {words}"}}"#)
        );
    }
    for bytes in [
        &b"\x80"[..],
        b"\xc0\x80",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff",
        b"\xe2\x82",
        b"\0",
    ] {
        let request = [b"{\"mcall\":\"callee::echo\",\"params\":\"", bytes, b"\"}"].concat();
        assert_eq!(run.request(&request, 512).0, 5, "{bytes:?}");
    }
}

#[test]
fn every_request_that_is_cut_is_refused() {
    let mut run = run("[\"echo\"]");
    let request = r#"{"mcall":"callee::echo","params":{"a\u00e4":[1.5e3,"é",true,null]}}"#;
    assert_eq!(run.answer(request).0, 0);
    for end in 0..request.len() {
        assert_eq!(run.request(&request.as_bytes()[..end], 512).0, 5, "cut at {end}");
    }
}

#[test]
fn a_long_request_has_room() {
    let mut run = Run::of(&[
        ("callee", &callee("[\"fill\"]")),
        (
            "app",
            &CALLER.replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 64)"),
        ),
    ]);
    let long = format!(r#"{{"mcall":"callee::no","params":"{}"}}"#, "x".repeat(3_000_000));
    let memory = run.instance.as_ref().unwrap().get_memory(&mut run.store, "memory").unwrap();
    memory.write(&mut run.store, 8192, long.as_bytes()).unwrap();
    // Again and again: the room is given back.
    let _ = memory;
    let mut short = run;
    assert_eq!(short.answer(r#"{"mcall":"callee::fill"}"#).0, 0);
}

#[test]
fn registering_says_what_is_wrong() {
    let result =
        |methods: &str| Run::of(&[("callee", &callee(methods)), ("app", CALLER)]).registered();
    for (methods, code) in [
        ("[]", 0),
        ("[ \"echo\" , \"\\u0066ill\" ]", 0),
        ("[1]", 5),
        ("{}", 5),
        ("null", 5),
        ("[\"echo\"", 5),
        ("1}}", 5),
    ] {
        assert_eq!(result(methods), code, "{methods}");
    }
    // Not by the entry, and not without a memory.
    let by = |memory: &str| {
        let entry = format!(
            "(module (import \"blockless\" \"register\" (func $r (param i32 i32 i32 i32) (result i32)))
               {memory}
               (func (export \"run\") (result i32)
                 (call $r (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))"
        );
        Run::of(&[("app", &entry)]).call("run", &[])
    };
    assert_eq!(by("(memory (export \"memory\") 1)"), 6);
    assert_eq!(by("(memory 1)"), 1);
}

#[test]
fn a_callee_calls_on() {
    let middle = "(module
        (import \"blockless\" \"mcall\" (func $mcall (param i32 i32 i32 i32) (result i32)))
        (import \"blockless\" \"register\" (func $register (param i32 i32 i32 i32) (result i32)))
        (memory (export \"memory\") 1)
        (data (i32.const 0) \"{\\22methods\\22:[\\22relay\\22]}\")
        (data (i32.const 100) \"{\\22mcall\\22:\\22callee::echo\\22,\\22params\\22:[7]}\")
        (func (export \"alloc\") (param i32) (result i32)
          (drop (call $mcall (i32.const 100) (i32.const 37) (i32.const 2048) (i32.const 16)))
          (i32.const 1024))
        (func (export \"dealloc\") (param i32 i32))
        (func (export \"relay\") (param i32 i32 i32 i32) (result i32)
          (call $mcall (i32.const 100) (i32.const 37) (local.get 2) (local.get 3)))
        (func (export \"_initialize\")
          (drop (call $register (i32.const 0) (i32.const 21) (i32.const 0) (i32.const 0)))))";
    let mut run =
        Run::of(&[("callee", &callee("[\"echo\"]")), ("middle", middle), ("app", CALLER)]);
    assert_eq!(run.answer(r#"{"mcall":"middle::relay","params":{"a":1}}"#), (0, "[7]".to_owned()));
    assert_eq!(run.answer(r#"{"mcall":"callee::echo","params":3}"#), (0, "3".to_owned()));
}

#[test]
fn a_callee_that_traps_ends_the_program() {
    let trapping = callee("[\"echo\"]").replace("(i32.const 77)", "(unreachable)");
    let mut run = Run::of(&[("callee", &trapping), ("app", CALLER)]);
    let instance = run.instance.unwrap();
    let memory = instance.get_memory(&mut run.store, "memory").unwrap();
    let request = br#"{"mcall":"callee::echo"}"#;
    memory.write(&mut run.store, 0, request).unwrap();
    let call = instance.get_typed_func::<(i32, i32), i32>(&mut run.store, "call").unwrap();
    assert!(call.call(&mut run.store, (request.len() as i32, 64)).is_err());
    // So do addresses that are none.
    for (length, size) in [(-1, 64), (24, -1), (65537, 64)] {
        assert!(call.call(&mut run.store, (length, size)).is_err(), "{length} {size}");
    }
}

#[test]
fn imports_of_another_type_are_named() {
    let entry = "(module (import \"blockless\" \"mcall\" (func (param i32) (result i32))) (memory (export \"memory\") 1))";
    let (words, code, _) = refused(&[("app", entry)]);
    assert_eq!(code, "link.export-type");
    assert!(words.contains("blockless.mcall"), "{words}");
    // A library of that name has what it has, and others of the host's functions stay.
    let own = "(module (func (export \"mcall\") (param i32) (result i32) (i32.const 3)))";
    assert!(try_link(&[("blockless", own), ("app", entry)]).is_ok());
    assert!(try_link(&[("app", "(module (import \"blockless\" \"other\" (func)))")]).is_ok());
}
