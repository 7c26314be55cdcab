//! `blockless_cgi`: extensions, programs beside the guest that the operator registered.
//!
//! | code | is |
//! |---|---|
//! | 1 | no such handle, or one of another kind |
//! | 2 | it could not be done |
//! | 3 | a command that is none, or a buffer that is not inside the memory |
//! | 4 | no such extension, or not for this guest |
//!
//! Guarantees that a guest sees and starts those that it was granted and no others, and that it
//! reads no more of one than whoever started it lets it. A read is one read: at least one byte,
//! or the end. Starts nothing itself, and knows no path.

use super::asking::Price;
use super::{bytes, bytes_mut, copy, json, text};
use crate::host::Host;
use crate::host::errno::{Errno, Failure, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use crate::host::waiting::until_ready;
use bls_artifact::broker::{Answer, ExtensionInfo, Reason, Request};
use bls_artifact::limits::{EXTENSION_ARGUMENTS_MAX, EXTENSION_VARIABLES_MAX};
use rustix::event::PollFlags;
use rustix::net::{SendFlags, send};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

const HANDLE: u8 = 1;
const RUNTIME: u8 = 2;
const PARAMETER: u8 = 3;
const UNKNOWN: u8 = 4;

/// What a handle stands for.
#[derive(Debug)]
pub(super) enum Cgi {
    /// A list of extensions as JSON, read up to here.
    List(Vec<u8>, usize),
    /// One that runs.
    Program(Program),
}

/// An extension that runs.
#[derive(Debug)]
pub(super) struct Program {
    /// What whoever started it calls it.
    handle: u32,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// Bytes that it may still give.
    left: u64,
}

/// Makes a list of the extensions that the guest may use.
pub(crate) fn cgi_list_exec(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: Pointer,
) -> Outcome<()> {
    memory.check_u32(handle)?;
    if !host.blockless.programs.has_room() {
        return Err(Failure::Code(RUNTIME));
    }
    let list = match host.ask(&Request::Extensions, Price::Question)? {
        Ok((Answer::List(list), _)) => list,
        // Where nothing is granted, there are none.
        Err(refusal) if refusal.reason == Reason::Denied => Vec::new(),
        _ => return Err(Failure::Code(RUNTIME)),
    };
    let reach = &host.blockless.reach;
    let text = write(list.iter().filter(|one| reach.allows_extension(&one.alias))).into_bytes();
    host.holding.take(text.len() as u64).map_err(|_| Failure::Code(RUNTIME))?;
    let number = host.blockless.programs.insert(Cgi::List(text, 0));
    memory.write_u32(handle, number)
}

/// Extensions as JSON.
fn write<'a>(list: impl Iterator<Item = &'a ExtensionInfo>) -> String {
    let mut text = String::from("[");
    for one in list {
        if text.len() > 1 {
            text.push(',');
        }
        let members = [
            ("{\"fileName\":", &one.file_name),
            (",\"alias\":", &one.alias),
            (",\"md5\":", &one.md5),
            (",\"description\":", &one.description),
        ];
        for (name, value) in members {
            text += name;
            json::quote(&mut text, value);
        }
        text.push('}');
    }
    text + "]"
}

/// Reads on in a list; nothing is its end.
pub(crate) fn cgi_list_read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let Some(Cgi::List(text, read)) = host.blockless.programs.get(handle) else {
        return Err(Failure::Code(HANDLE));
    };
    let copied = copy(text.get(*read..).unwrap_or_default(), bytes_mut(memory, buffer, PARAMETER)?);
    *read += copied;
    host.purse.owe_transfer(copied);
    memory.write_size(length, copied)
}

/// Starts an extension.
pub(crate) fn cgi_open(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    command: Bytes,
    handle: Pointer,
) -> Outcome<()> {
    memory.check_u32(handle)?;
    host.purse.pay_text(command.length())?;
    let request = read_command(text(memory, command, PARAMETER)?)?;
    let Request::Start { alias, .. } = &request else { return Err(Failure::Code(PARAMETER)) };
    if !host.blockless.reach.allows_extension(alias) {
        return Err(Failure::Code(UNKNOWN));
    }
    if !host.blockless.programs.has_room() {
        return Err(Failure::Code(RUNTIME));
    }
    let answered = host.ask(&request, Price::Request)?.map_err(|refusal| {
        Failure::Code(match refusal.reason {
            Reason::UnknownExtension | Reason::Denied => UNKNOWN,
            Reason::Invalid => PARAMETER,
            _ => RUNTIME,
        })
    })?;
    let (Answer::Started { handle: theirs, output_max }, descriptors) = answered else {
        return Err(Failure::Code(RUNTIME));
    };
    let Ok([stdin, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
        return Err(Failure::Code(RUNTIME));
    };
    let program = Program { handle: theirs, stdin, stdout, stderr, left: output_max };
    let number = host.blockless.programs.insert(Cgi::Program(program));
    memory.write_u32(handle, number)
}

/// The request that a command describes. The SDKs write a variable as `name` and `value`, the
/// network's own runtime reads `env_name` and `env_val`: either is one.
fn read_command(text: &str) -> Outcome<Request> {
    let read = || {
        let command = json::members(text)?;
        let alias = json::string(json::member(&command, "command")?)?;
        let list = |name, most| match json::some(&command, name) {
            None => Some(Vec::new()),
            Some(text) => json::list(text, most),
        };
        let arguments = list("args", EXTENSION_ARGUMENTS_MAX)?;
        let variables = list("envs", EXTENSION_VARIABLES_MAX)?;
        let arguments = arguments.iter().map(|one| json::string(one.get()));
        let variables = variables.iter().map(|one| {
            let variable = json::members(one.get())?;
            let either = |one, other| {
                let text = json::member(&variable, one).or_else(|| json::member(&variable, other));
                json::string(text?)
            };
            Some((either("name", "env_name")?, either("value", "env_val")?))
        });
        let arguments = arguments.collect::<Option<_>>()?;
        Some(Request::Start { alias, arguments, variables: variables.collect::<Option<_>>()? })
    };
    read().ok_or(Failure::Code(PARAMETER))
}

/// Reads what an extension writes to its output.
pub(crate) fn cgi_stdout_read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    read(host, memory, handle, (buffer, length), |program| program.stdout.as_fd())
}

/// Reads what an extension writes to its errors.
pub(crate) fn cgi_stderr_read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    read(host, memory, handle, (buffer, length), |program| program.stderr.as_fd())
}

fn read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: u32,
    (buffer, length): (Bytes, Pointer),
    end: impl Fn(&Program) -> BorrowedFd<'_>,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let program = program(host.blockless.programs.get(handle))?;
    let place = bytes_mut(memory, buffer, PARAMETER)?;
    if program.left == 0 && !place.is_empty() {
        return Err(Failure::Code(RUNTIME));
    }
    let most = usize::try_from(program.left).unwrap_or(usize::MAX).min(place.len());
    let end = end(program);
    host.purse.owe_socket();
    let read = until_ready(end, PollFlags::IN, || rustix::io::read(end, &mut place[..most]))
        .map_err(code)?;
    program.left -= read as u64;
    host.purse.owe_transfer(read);
    memory.write_size(length, read)
}

/// Writes to an extension's input. Fewer bytes may be written than there are.
pub(crate) fn cgi_stdin_write(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let program = program(host.blockless.programs.get(handle))?;
    let bytes = bytes(memory, buffer, PARAMETER)?;
    // What does not fit into the limit on output ends the run, when the rest is written.
    let most = usize::try_from(host.output_left.bytes()).unwrap_or(usize::MAX).min(bytes.len());
    let end = program.stdin.as_fd();
    host.purse.owe_socket();
    let written = until_ready(end, PollFlags::OUT, || {
        // A socket or a pipe: of a socket no signal comes where nobody reads any more.
        match send(end, &bytes[..most], SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::NOTSOCK) => rustix::io::write(end, &bytes[..most]),
            sent => sent,
        }
    })
    .map_err(code)?;
    let wanted = if written == most { bytes.len() } else { written };
    host.purse.owe_transfer(written);
    host.output_left = host.output_left.take(wanted as u64)?;
    memory.write_size(length, written)
}

/// The system's refusals have one code; the end of the run is none.
fn code(failure: Failure) -> Failure {
    match failure {
        Failure::Errno(Errno::Pipe) | Failure::Errno(_) => Failure::Code(RUNTIME),
        other => other,
    }
}

/// Forgets a list, or ends an extension: it is killed.
pub(crate) fn cgi_close(host: &mut Host, _: &mut GuestMemory<'_>, handle: u32) -> Outcome<()> {
    match host.blockless.programs.remove(handle).ok_or(Failure::Code(HANDLE))? {
        Cgi::List(text, _) => {
            host.holding.give_back(text.len() as u64);
            Ok(())
        }
        Cgi::Program(program) => host.close_outside(program.handle),
    }
}

/// The extension that a handle stands for.
fn program(found: Option<&mut Cgi>) -> Outcome<&mut Program> {
    match found {
        Some(Cgi::Program(program)) => Ok(program),
        _ => Err(Failure::Code(HANDLE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_as_the_network_writes_it() {
        let one = |alias: &str| ExtensionInfo {
            alias: alias.into(),
            file_name: "x\"y".into(),
            sha256: String::new(),
            md5: "00".into(),
            description: "d".into(),
        };
        assert_eq!(write([].iter()), "[]");
        let text = r#"{"fileName":"x\"y","alias":"a","md5":"00","description":"d"}"#;
        let other = text.replace("\"a\"", "\"b\"");
        assert_eq!(write([one("a"), one("b")].iter()), format!("[{text},{other}]"));
    }

    #[test]
    fn commands_are_read_as_either_side_writes_them() {
        let start = |text: &str| match read_command(text) {
            Ok(Request::Start { alias, arguments, variables }) => {
                Some((alias, arguments, variables))
            }
            _ => None,
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (alias, arguments, variables) = start(
            r#"{"command":"e","args":["--a","b c"],
                "envs":[{"name":"A","value":"1"},{"env_name":"B","env_val":""}]}"#,
        )
        .unwrap();
        assert_eq!((alias.as_str(), arguments), ("e", vec!["--a".to_owned(), "b c".to_owned()]));
        assert_eq!(variables, [pair("A", "1"), pair("B", "")]);
        let bare = Some(("e".to_owned(), Vec::new(), Vec::new()));
        assert_eq!(start(r#"{"command":"e"}"#), bare);
        assert_eq!(start(r#"{"command":"e","args":null,"envs":[]}"#), bare);
        for wrong in [
            "{",
            r#"{"args":[]}"#,
            r#"{"command":1}"#,
            r#"{"command":"e","args":"x"}"#,
            r#"{"command":"e","args":[1]}"#,
            r#"{"command":"e","envs":[{"name":"A"}]}"#,
        ] {
            assert!(start(wrong).is_none(), "{wrong}");
        }
    }
}
