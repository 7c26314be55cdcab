//! `wasi:cli`: arguments, variables, the end of the program, standard streams, terminals.

use crate::guest::{Caller, Record};
use crate::http;
use crate::objects::{self, Kind, Object};
use crate::preview1::{self, CHARACTER_DEVICE};
use crate::streams::{Input, Output, To};
use crate::{handles, trap};
use alloc::string::String;
use alloc::vec::Vec;

#[unsafe(export_name = "wasi:cli/environment#get-arguments")]
extern "C" fn arguments(caller: Caller, to: u32) {
    #[cfg(not(typed))]
    let all = preview1::texts(false);
    #[cfg(typed)]
    let all = crate::typed::without_call(preview1::arguments());
    let list = caller.room(4, all.len() * 8);
    let mut records = Vec::with_capacity(all.len() * 8);
    for argument in &all {
        let text = caller.give_text(&String::from_utf8_lossy(argument));
        records.extend_from_slice(Record::<8>::new().list(0, text).bytes());
    }
    caller.put(list, &records);
    caller.record(to, 4, &Record::<8>::new().list(0, (list, all.len() as u32)));
}

#[unsafe(export_name = "wasi:cli/environment#get-environment")]
extern "C" fn environment(caller: Caller, to: u32) {
    let mut all = preview1::texts(true);
    if http::is_serving() {
        // What is the request's, it says itself.
        all.retain(|variable| !http::is_of_request(variable));
    }
    let list = caller.room(4, all.len() * 16);
    let mut records = Vec::with_capacity(all.len() * 16);
    for variable in &all {
        let text = String::from_utf8_lossy(variable);
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        let (name, value) = (caller.give_text(name), caller.give_text(value));
        records.extend_from_slice(Record::<16>::new().list(0, name).list(8, value).bytes());
    }
    caller.put(list, &records);
    caller.record(to, 4, &Record::<8>::new().list(0, (list, all.len() as u32)));
}

/// There is no folder that a program is in.
#[unsafe(export_name = "wasi:cli/environment#initial-cwd")]
extern "C" fn initial_cwd(caller: Caller, to: u32) {
    caller.record(to, 4, &Record::<12>::new());
}

#[unsafe(export_name = "wasi:cli/exit#exit")]
extern "C" fn exit(_: Caller, status: u32) {
    if status > 1 {
        trap();
    }
    preview1::exit(status)
}

#[unsafe(export_name = "wasi:cli/exit#exit-with-code")]
extern "C" fn exit_with_code(_: Caller, code: u32) {
    preview1::exit(code & 0xff)
}

#[unsafe(export_name = "wasi:cli/stdin#get-stdin")]
extern "C" fn stdin(caller: Caller) -> u32 {
    // Where a request is answered, standard input is its body.
    let input = if http::is_serving() { Input::nothing() } else { Input::standard() };
    handles::own(caller, Kind::Input, objects::insert(Object::Input(input)))
}

fn standard_output(caller: Caller, fd: u32) -> u32 {
    let output = Output::new(To::Standard(fd));
    handles::own(caller, Kind::Output, objects::insert(Object::Output(output)))
}

#[unsafe(export_name = "wasi:cli/stdout#get-stdout")]
extern "C" fn stdout(caller: Caller) -> u32 {
    // Where a request is answered, standard output is the answer.
    standard_output(caller, if http::is_serving() { 2 } else { 1 })
}

#[unsafe(export_name = "wasi:cli/stderr#get-stderr")]
extern "C" fn stderr(caller: Caller) -> u32 {
    standard_output(caller, 2)
}

/// `option<own<…>>`: something, where a standard stream is a terminal.
fn terminal(caller: Caller, fd: u32, kind: Kind, to: u32) {
    let is_terminal = preview1::fd_stat(fd).is_ok_and(|stat| stat.kind == CHARACTER_DEVICE);
    let record = match is_terminal {
        false => Record::<8>::new(),
        true => {
            let handle = handles::own(caller, kind, objects::insert(Object::Terminal));
            Record::new().u8(0, 1).u32(4, handle)
        }
    };
    caller.record(to, 4, &record);
}

#[unsafe(export_name = "wasi:cli/terminal-stdin#get-terminal-stdin")]
extern "C" fn terminal_stdin(caller: Caller, to: u32) {
    terminal(caller, 0, Kind::TerminalInput, to);
}

#[unsafe(export_name = "wasi:cli/terminal-stdout#get-terminal-stdout")]
extern "C" fn terminal_stdout(caller: Caller, to: u32) {
    terminal(caller, 1, Kind::TerminalOutput, to);
}

#[unsafe(export_name = "wasi:cli/terminal-stderr#get-terminal-stderr")]
extern "C" fn terminal_stderr(caller: Caller, to: u32) {
    terminal(caller, 2, Kind::TerminalOutput, to);
}
