//! `--cache https://…`: what many builders keep on one server, and that no server, whatever it
//! answers, changes what comes out or fails a build.

use bls_tests::caches::Nginx;
use bls_tests::programs::{Ended, Home, fixtures, run};
use bls_tests::registries::{Answer, Liar};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The entry that is asked for to see whether a server is there.
const PROBE: &str = "ba9c736f19e7f60b7f6764adb0b7908c0a2b394e09b6c09863528c7f2bc86095";

/// A builder with two modules, and a key of its own.
fn builder(seed: u8) -> Home {
    let home = Home::with_seed(seed);
    for name in ["hello.wat", "library.wat"] {
        fs::copy(fixtures().join("wat").join(name), home.path(name)).unwrap();
    }
    home
}

fn command(home: &Home, words: &[&str]) -> Command {
    let [input, words @ ..] = words else { panic!("an input") };
    let mut command = home.compile_command(Path::new(input));
    command.args(words).env_remove("BLS_CACHE_AUTHORIZATION");
    for proxy in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_ascii_lowercase());
    }
    command
}

fn compile(home: &Home, words: &[&str]) -> Ended {
    run(&mut command(home, words), b"")
}

/// What is compiled without a cache.
fn fresh(home: &Home) -> Vec<u8> {
    let _ = compile(home, &["hello.wat", "-o", "fresh.bls"]).expect(0);
    fs::read(home.path("fresh.bls")).unwrap()
}

fn made(home: &Home) -> Vec<u8> {
    fs::read(home.path("hello.bls")).unwrap()
}

#[test]
fn what_one_builder_has_compiled_others_take() {
    let Some(mut server) = Nginx::start() else { return };
    let place = server.place();
    let (ann, bob, eve) = (builder(7), builder(8), builder(9));
    let words = ["hello.wat", "--cache", &place];
    let ended = compile(&ann, &words).expect(0);
    assert!(!ended.stderr.contains("cache"), "{}", ended.stderr);
    let kept = server.entries();
    let [entry] = &kept[..] else { panic!("one entry: {kept:?}") };
    assert_eq!(fs::read(entry).unwrap(), made(&ann));

    // Who has the same key, on another machine.
    let other = builder(7);
    let _ = compile(&other, &words).expect(0).says(&["from the cache"]);
    assert_eq!(made(&other), made(&ann));
    // Under another number it is signed again and not compiled.
    let release = [&words[..], &["--sequence", "3"]].concat();
    let _ = compile(&other, &release).expect(0).says(&["from the cache"]);
    let _ = compile(&ann, &["hello.wat", "--sequence", "3"]).expect(0);
    assert_eq!(made(&other), made(&ann));

    // Who has another key takes it of those that they name, and signs it.
    let ended = compile(&bob, &words).expect(0);
    assert!(!ended.stderr.contains("from the cache"), "{}", ended.stderr);
    assert_eq!(server.entries().len(), 2);
    let key = ann.public_key();
    let trusting = [&words[..], &["--cache-trust", key.to_str().unwrap()]].concat();
    let _ = compile(&eve, &trusting).expect(0).says(&["from the cache"]);
    assert_eq!(made(&eve), fresh(&eve));
    assert_eq!(server.entries().len(), 2, "what came from there does not go there");
    let missing = [&words[..], &["--cache-trust", "nobody.pub"]].concat();
    let _ = compile(&eve, &missing).expect(1).says(&["nobody.pub", "hint: "]);

    // With a folder beside it, one that is down is not missed.
    let both = ["hello.wat", "--cache", "kept", "--cache", &place];
    let ended = compile(&bob, &both).expect(0).says(&["from the cache"]);
    assert!(!ended.stderr.contains("cache: "), "{}", ended.stderr);
    server.stop();
    let ended = compile(&bob, &both).expect(0).says(&["from the cache"]);
    let _ = ended.says(&["cache: http://127.0.0.1:", "there is no connection", "without it"]);
    assert_eq!(made(&bob), fresh(&bob));
    fs::create_dir(bob.path("all")).unwrap();
    for number in 0..4 {
        fs::copy(bob.path("library.wat"), bob.path(&format!("all/{number}.wat"))).unwrap();
    }
    let ended = compile(&bob, &["all", "-o", "dist/", "--cache", &place]).expect(0);
    assert_eq!(ended.stderr.matches("cache: ").count(), 1, "once: {}", ended.stderr);
}

#[test]
fn a_poisoned_cache_costs_a_compilation_and_a_word() {
    let Some(server) = Nginx::start() else { return };
    let place = server.place();
    let (ann, bob) = (builder(7), builder(8));
    let words = ["hello.wat", "--cache", &place];
    let _ = compile(&ann, &words).expect(0);
    let entry = server.entries().remove(0);
    let good = made(&ann);
    let _ = compile(&ann, &["library.wat"]).expect(0);
    let other_source = fs::read(ann.path("library.bls")).unwrap();
    let _ = compile(&ann, &["hello.wat", "--no-fuel", "-o", "x.bls"]).expect(0);
    let other_settings = fs::read(ann.path("x.bls")).unwrap();
    let by_another = fresh(&bob);
    let mut damaged = good.clone();
    let last = damaged.len() - 100;
    damaged[last] ^= 1;
    for (what, wrong, why) in [
        ("another source's", &other_source[..], "another source"),
        ("another setting's", &other_settings, "other settings"),
        ("another builder's", &by_another, "has not signed"),
        ("damaged", &damaged, "is not what it should be"),
        ("half", &good[..good.len() / 2], "is not what it should be"),
        ("a page", b"<html>not here</html>", "is not what it should be"),
        ("nothing", b"", "is not what it should be"),
    ] {
        fs::write(&entry, wrong).unwrap();
        let ended = compile(&ann, &words).expect(0).says(&[why, "compiled again"]);
        assert!(ended.stderr.contains(&place), "{what}: {}", ended.stderr);
        assert_eq!(made(&ann), good, "{what}");
        assert_eq!(fs::read(&entry).unwrap(), good, "{what} is mended");
    }
}

#[test]
fn a_server_that_lies_or_refuses_fails_no_build() {
    let home = builder(7);
    let good = fresh(&home);
    let elsewhere = Liar::start(|_| Answer::of("text/plain", "x"));
    let place = format!("http://{}/x", elsewhere.host);
    for (answer, says) in [
        (Answer::status(500), "answers 500"),
        (Answer::status(401), "wants to know who asks"),
        (Answer::status(403), "does not let you"),
        (Answer::status(404), "it has no such place"),
        (Answer::status(405), "answers 405"),
        (Answer::of("text/html", "<html>"), "is not what it should be"),
        (Answer { length: Some(1 << 40), ..Answer::of("x/y", "short") }, "cache: "),
        (Answer { length: Some(100), ..Answer::of("x/y", "short") }, "cache: "),
        (
            Answer { headers: format!("Location: {place}\r\n"), ..Answer::status(302) },
            "is not what it should be",
        ),
    ] {
        let status = answer.status;
        let liar = Liar::start(move |_| answer.clone());
        let place = format!("http://{}", liar.host);
        let ended = compile(&home, &["hello.wat", "--cache", &place]).expect(0).says(&[says]);
        assert!(!ended.stderr.contains("panicked"), "{status}: {}", ended.stderr);
        assert_eq!(made(&home), good, "{status}");
        assert!(!liar.asked().is_empty());
        fs::remove_file(home.path("hello.bls")).unwrap();
    }
    for place in ["http://127.0.0.1:1/x", "https://cache.invalid/x", "https://127.0.0.1:1"] {
        let ended = compile(&home, &["hello.wat", "--cache", place]).expect(0);
        let _ = ended.says(&[place, "compiled without it"]);
        assert_eq!(made(&home), good);
    }
    // Nobody says anything: it is waited for once.
    let silent = Liar::start(|_| Answer::default());
    let place = format!("http://{}", silent.host);
    let ended = compile(&home, &["hello.wat", "--cache", &place]).expect(0);
    let _ = ended.says(&["takes longer than", "compiled without it"]);
    assert_eq!(silent.asked().len(), 1);
}

/// One that fails after it was there is asked no more, whosever results are wanted; and no more is
/// taken than an artifact's header says.
#[test]
fn a_server_that_fails_in_between_is_left_alone() {
    let (home, other) = (builder(7), builder(8));
    let key = other.public_key();
    let failing = Liar::start(|asked| match asked.path.contains(PROBE) {
        true => Answer::status(404),
        false => Answer::status(500),
    });
    let place = format!("http://{}", failing.host);
    let words = ["hello.wat", "--cache", &place, "--cache-trust", key.to_str().unwrap()];
    let ended = compile(&home, &words).expect(0).says(&["answers 500", "compiled without it"]);
    assert_eq!(ended.stderr.matches("cache: ").count(), 1, "{}", ended.stderr);
    assert_eq!(failing.asked().len(), 2);
    let endless =
        Liar::start(|_| Answer { length: Some(1 << 40), ..Answer::of("x/y", vec![b'x'; 1 << 20]) });
    let ended = compile(&home, &["hello.wat", "--cache", &format!("http://{}", endless.host)]);
    let _ = ended.expect(0).says(&["is not what it should be", "compiled again"]);
}

#[test]
fn who_asks_is_told_where_nobody_else_reads_it() {
    let home = builder(7);
    let liar = Liar::start(|_| Answer::status(404));
    let place = format!("http://{}", liar.host);
    let ask = |place: &str| {
        let mut command = command(&home, &["hello.wat", "--cache", place]);
        run(command.env("BLS_CACHE_AUTHORIZATION", "Bearer hush"), b"").expect(0)
    };
    let ended = ask(&place);
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    for asked in liar.asked() {
        assert_eq!(asked.headers.get("authorization").map(String::as_str), Some("Bearer hush"));
    }
    let mut wrong = command(&home, &["hello.wat", "--cache", &place]);
    let ended = run(wrong.env("BLS_CACHE_AUTHORIZATION", "Bearer hush\nhush"), b"").expect(0);
    let ended = ended.says(&["BLS_CACHE_AUTHORIZATION holds what no header can"]);
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    let ended = ask("http://cache.invalid/x").says(&["would show it", "https://"]);
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    let ended = ask("https://ann:pass@cache.invalid/x").says(&["BLS_CACHE_AUTHORIZATION"]);
    assert!(ended.stderr.contains("compiled without it"), "{}", ended.stderr);
}

#[test]
fn a_place_is_a_folder_or_a_server_and_one_of_each() {
    let home = builder(7);
    for (words, says) in [
        (&["--cache", "a", "--cache", "b"][..], "one of each"),
        (&["--cache", "http://a", "--cache", "https://b"], "one of each"),
        (&["--cache-trust", "a.pub"], "--cache"),
    ] {
        let ended = compile(&home, &[&["hello.wat"], words].concat()).expect(2);
        let _ = ended.says(&[says]);
        assert!(!home.path("hello.bls").exists());
    }
    let ended = compile(&home, &["hello.wat", "--cache", "ftp://a/b"]).expect(0);
    let _ = ended.says(&["neither https:// nor http://", "compiled without it"]);
}
