//! Conversations with a process that is none: what a taken-over one could say.

use super::*;
use crate::compile::effort::Effort;
use crate::compile::{How, generate};
use crate::input::Source;
use crate::pipeline;
use crate::ready::ready;
use crate::validate::validate;
use bls_artifact::key::PrivateKey;
use bls_artifact::target::Target;
use std::io::Write as _;

const MODULE: &str = "(module (memory 1) (func (export \"_start\") (local i32)
    (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))";

fn options() -> Options {
    Options::new(vec![Target::Pulley64])
}

fn limits() -> Allowance {
    Allowance { memory: 1 << 24, time: Duration::from_secs(60), threads: None }
}

/// The side of the process that signs, and the pipe that the other would write to.
fn with_pipe(job: Job, limits: Allowance, text: &str) -> (Child, std::fs::File) {
    let (go_out, go) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (pipe, results) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    // Whoever reads it is there, or it would end this process's call.
    std::mem::forget(go_out);
    let child = Child {
        process: None,
        go,
        answers: Answers { pipe, begin: Instant::now(), time: limits.time },
        room: limits.memory,
        given: Given::one(wat::parse_str(text).unwrap(), "app.wasm"),
        job,
        limits,
        stage: Stage::Input,
        stages: 0,
        modules: None,
    };
    (child, results.into())
}

/// What comes of a conversation in which the other says these bytes, and closes its pipe.
fn said(job: Job, limits: Allowance, bytes: Vec<u8>) -> Result<Unsigned, ChildError> {
    let (child, mut pipe) = with_pipe(job, limits, MODULE);
    let writer = thread::spawn(move || drop(pipe.write_all(&bytes)));
    let ended = child.build(&mut |_| {});
    // The pipe is gone with the child: nobody is left to write to it.
    writer.join().unwrap();
    ended
}

fn refused(bytes: Vec<u8>) -> ChildError {
    said(Job::Build(options()), limits(), bytes).unwrap_err()
}

/// The messages of an honest process: up to the charges, and the image.
fn honest(options: &Options) -> (Vec<u8>, Vec<u8>) {
    let profile = options.profile(Target::Pulley64);
    let source = Source::new(wat::parse_str(MODULE).unwrap(), "app.wasm").unwrap();
    let validated = validate(source, &profile).unwrap();
    let metered = ready(&validated, options.metered).unwrap();
    let claims = metered.fuel().map(|fuel| (fuel.overrun_max, fuel.instantiation));
    let (mut front, mut back) = (Vec::new(), Vec::new());
    for stage in [Stage::Input, Stage::Validate, Stage::Meter] {
        wire::stage(&mut front, stage).unwrap();
    }
    wire::ready(&mut front, claims, metered.wasm()).unwrap();
    wire::stage(&mut back, Stage::Compile).unwrap();
    let image =
        generate(metered.wasm(), 0, &Target::Pulley64.into(), &profile, How::default()).unwrap().0;
    wire::image(&mut back, Target::Pulley64, image.effort(), image.bytes()).unwrap();
    wire::took(&mut back, Stage::Compile, Duration::from_micros(5)).unwrap();
    (front, back)
}

fn message(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    bytes
}

fn done() -> Vec<u8> {
    message(wire::done)
}

/// The beginning of a conversation up to the stage that meters.
fn judged() -> Vec<u8> {
    message(|to| wire::stage(to, Stage::Meter))
}

#[test]
fn an_honest_conversation_gives_what_one_process_gives() {
    for metered in [true, false] {
        let options = Options { metered, ..options() };
        let (front, back) = honest(&options);
        let key = PrivateKey::from_seed(&[7; 32]);
        let answers = [front, back, done()].concat();
        let built = said(Job::Build(options.clone()), limits(), answers).unwrap();
        let built = built.sign(&[&key], &mut |_| {}).unwrap();
        let alone = pipeline::build(wat::parse_str(MODULE).unwrap(), "app.wasm", &options, &[&key]);
        assert_eq!(built.artifact.bytes(), alone.unwrap().bytes());
        assert_eq!(built.times.len(), 4, "{:?}", built.times);
    }
}

#[test]
fn what_was_not_made_of_the_source_is_not_signed() {
    let other = |text: &str, claims: Option<Option<(u64, u64)>>| {
        let profile = options().profile(Target::Pulley64);
        let source = Source::new(text.as_bytes().to_vec(), "a.wat").unwrap();
        let metered = ready(&validate(source, &profile).unwrap(), true).unwrap();
        let own = metered.fuel().map(|fuel| (fuel.overrun_max, fuel.instantiation));
        let ready = message(|to| wire::ready(to, claims.unwrap_or(own), metered.wasm()));
        [judged(), ready, honest(&options()).1, done()].concat()
    };
    // Another module, with its own charges: one instruction differs.
    let changed = MODULE.replace("i32.sub", "i32.add");
    assert_eq!(refused(other(&changed, None)).code(), "audit.defect");
    // The module, with claims that are lies.
    assert_eq!(refused(other(MODULE, Some(Some((0, 0))))).code(), "audit.defect");
    // The module without charges, said to have them; or to have none, where they were asked for.
    let plain = wat::parse_str(MODULE).unwrap();
    for (claims, code) in [(Some((1, 1)), "audit.defect"), (None, "compile.nonsense")] {
        let ready = message(|to| wire::ready(to, claims, &plain));
        let bytes = [judged(), ready, honest(&options()).1, done()].concat();
        assert_eq!(refused(bytes).code(), code);
    }
    let ready = message(|to| wire::ready(to, Some((1, 1)), b"\0asm\x01\0\0\0\xff"));
    let bytes = [judged(), ready, honest(&options()).1, done()].concat();
    assert_eq!(refused(bytes).code(), "meter.invalid");
}

#[test]
fn what_comes_out_of_turn_is_nonsense() {
    let (front, back) = honest(&options());
    let image = |target, bytes: &[u8]| message(|to| wire::image(to, target, Effort::Full, bytes));
    let stages = judged().repeat(STAGES_MAX + 1);
    let times = message(|to| wire::took(to, Stage::Meter, Duration::ZERO)).repeat(STAGES_MAX + 1);
    for (at, bytes) in [
        done(),
        [front.clone(), done()].concat(),
        [front.clone(), back.clone()].concat(),
        [judged(), back.clone(), done()].concat(),
        [front.clone(), front.clone()].concat(),
        [front.clone(), back.clone(), back.clone()].concat(),
        [front.clone(), image(Target::X86_64, b"")].concat(),
        [front.clone(), message(|to| wire::profile(to, b""))].concat(),
        [front.clone(), message(|to| wire::encoded(to, b""))].concat(),
        message(|to| wire::ready(to, None, b"")),
        stages,
        [front.clone(), times].concat(),
        b"nonsense".repeat(1000),
        Vec::new(),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(refused(bytes).code(), "compile.nonsense", "{at}");
    }
    // No image at all, as far as the format goes.
    let bytes = [front, image(Target::Pulley64, b"no image"), back].concat();
    assert_eq!(refused(bytes).code(), "compile.settings");
}

#[test]
fn who_sends_more_than_allowed_or_nothing_is_not_waited_for() {
    let little = Allowance { memory: 100, ..limits() };
    let (front, _) = honest(&options());
    let ended = said(Job::Build(options()), little, front.clone()).unwrap_err();
    assert_eq!(ended.code(), "compile.memory");
    let soon = Allowance { time: Duration::from_millis(50), ..limits() };
    let (child, mut pipe) = with_pipe(Job::Build(options()), soon, MODULE);
    pipe.write_all(&front).unwrap();
    let ended = child.build(&mut |_| {}).unwrap_err();
    assert_eq!(ended.code(), "compile.time", "{ended}");
    drop(pipe);
}

#[test]
fn words_of_a_refusal_are_the_others_and_its_names_are_not() {
    let words = |code| {
        message(|to| {
            let refusal = crate::child::Refusal {
                stage: "key",
                code,
                what: "what it says".to_owned(),
                excerpt: Vec::new(),
                hint: None,
                rule: None,
                function: None,
                offset: None,
            };
            wire::refused(to, &refusal)
        })
    };
    let ended = refused(words("validate.cap"));
    assert_eq!((ended.stage(), ended.code()), ("validate", "validate.cap"));
    assert_eq!(ended.to_string(), "what it says");
    assert_eq!(refused(words("keystore.mode")).code(), "compile.nonsense");
    let ended = refused(message(|to| wire::panicked(to, "at x.rs:1")));
    assert_eq!(ended.code(), "compile.crashed");
    assert!(ended.to_string().contains("internal error in stage input: at x.rs:1"), "{ended}");
}
