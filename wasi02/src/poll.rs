//! `wasi:io/poll`: waiting for points in time, for standard input and for sockets, by
//! `poll_oneoff`.

use crate::guest::Caller;
use crate::http::Awaited;
use crate::objects::{self, Kind, Object};
use crate::preview1::{self, Event, MONOTONIC, Subscription};
use crate::{handles, trap};
use alloc::vec::Vec;

/// Something that is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Pollable(Wait);

#[derive(Clone, Copy)]
enum Wait {
    /// It is ready.
    Over,
    /// A point on the monotonic clock.
    Until(u64),
    /// Standard input.
    Input,
    /// The answer to a request.
    Answer(Awaited),
    /// A socket.
    #[cfg(network)]
    Socket(Ready),
}

/// What is waited for of a socket, by its descriptor.
#[cfg(network)]
#[derive(Clone, Copy)]
pub(crate) enum Ready {
    /// Something to read, a connection to take, or the end.
    Read(u32),
    /// Room for what is written.
    Write(u32),
}

#[cfg(network)]
impl Ready {
    fn subscription(self) -> Subscription {
        match self {
            Self::Read(fd) => Subscription::readable(fd),
            Self::Write(fd) => Subscription::writable(fd),
        }
    }

    /// Whether it is so now.
    pub(crate) fn is_now(self) -> bool {
        let mut happened = [Event::default(); 2];
        match preview1::poll(&[self.subscription(), Subscription::at_once()], &mut happened) {
            Ok(count) => happened.iter().take(count).any(|event| event.kind != 0),
            // Then whoever uses it is told what is wrong.
            Err(_) => true,
        }
    }

    /// Waits until it is so.
    pub(crate) fn wait(self) {
        let _ = preview1::poll(&[self.subscription()], &mut [Event::default()]);
    }
}

impl Pollable {
    /// A handle of one that is ready at a point in time.
    pub(crate) fn until(caller: Caller, time: u64) -> u32 {
        Self(Wait::Until(time)).handle(caller, None)
    }

    /// A handle of one of something that must outlive it, which waits for standard input or
    /// is ready.
    pub(crate) fn of(caller: Caller, what: u32, waits: bool) -> u32 {
        Self(if waits { Wait::Input } else { Wait::Over }).handle(caller, Some(what))
    }

    /// A handle of one that waits for the answer to a request, which must outlive it.
    #[cfg(network)]
    pub(crate) fn of_answer(caller: Caller, what: u32, answer: Awaited) -> u32 {
        Self(Wait::Answer(answer)).handle(caller, Some(what))
    }

    /// A handle of one that waits for a socket; what it is of must outlive it.
    #[cfg(network)]
    pub(crate) fn of_socket(caller: Caller, what: u32, ready: Ready) -> u32 {
        Self(Wait::Socket(ready)).handle(caller, Some(what))
    }

    fn handle(self, caller: Caller, of: Option<u32>) -> u32 {
        let rep = objects::insert_child(Object::Pollable(self), of);
        handles::own(caller, Kind::Pollable, rep)
    }
}

/// Whether a read of standard input would not wait: there is something, or its end.
pub(crate) fn input_is_ready() -> bool {
    input_within(Subscription::at_once())
}

/// Whether standard input is ready when this has happened, or before.
fn input_within(alarm: Subscription) -> bool {
    let mut happened = [Event::default(); 2];
    match preview1::poll(&[Subscription::readable(0), alarm], &mut happened) {
        Ok(count) => happened.iter().take(count).any(|event| Subscription::is_read(event.kind)),
        // Then a read says what is wrong.
        Err(_) => true,
    }
}

/// Which of these are ready; does not wait.
fn ready(waits: &[Wait]) -> Vec<bool> {
    let has_clock = waits.iter().any(|wait| matches!(wait, Wait::Until(_)));
    let now = if has_clock { preview1::time(MONOTONIC) } else { 0 };
    let mut input = None;
    let is_ready = |wait: &Wait| match wait {
        Wait::Over => true,
        Wait::Until(time) => *time <= now,
        Wait::Input => *input.get_or_insert_with(input_is_ready),
        Wait::Answer(answer) => answer.is_ready(),
        #[cfg(network)]
        Wait::Socket(ready) => ready.is_now(),
    };
    waits.iter().map(is_ready).collect()
}

/// Whether nothing of these would ever be ready: then all of them are, with an error.
#[cfg(network)]
fn give_up(waits: &[Wait]) -> bool {
    let is_answer = |wait: &Wait| matches!(wait, Wait::Answer(_));
    if !waits.iter().all(is_answer) {
        return false;
    }
    for wait in waits {
        if let Wait::Answer(answer) = wait {
            answer.give_up();
        }
    }
    true
}

/// Waits until one is ready; which are.
fn wait(waits: &[Wait]) -> Vec<bool> {
    loop {
        let found = ready(waits);
        if found.contains(&true) {
            return found;
        }
        #[cfg(network)]
        if give_up(waits) {
            continue;
        }
        let alarm = waits.iter().filter_map(|wait| match wait {
            Wait::Until(time) => Some(*time),
            _ => None,
        });
        let alarm = alarm.min().map(Subscription::until);
        let input = waits.iter().any(|wait| matches!(wait, Wait::Input));
        let input = input.then(|| Subscription::readable(0));
        #[cfg(network)]
        let input = input.into_iter().chain(waits.iter().filter_map(|wait| match wait {
            Wait::Socket(ready) => Some(ready.subscription()),
            _ => None,
        }));
        let wanted: Vec<Subscription> = alarm.into_iter().chain(input).collect();
        #[cfg(network)]
        let mut happened = alloc::vec![Event::default(); wanted.len()];
        #[cfg(not(network))]
        let mut happened = [Event::default(); 2];
        if preview1::poll(&wanted, &mut happened).is_err() {
            trap();
        }
    }
}

fn wait_of(caller: Caller, handle: u32) -> Wait {
    match objects::get(handles::rep_of(caller, Kind::Pollable, handle)) {
        Object::Pollable(pollable) => pollable.0,
        _ => trap(),
    }
}

#[unsafe(export_name = "wasi:io/poll#[method]pollable.ready")]
extern "C" fn is_ready(caller: Caller, this: u32) -> u32 {
    u32::from(ready(&[wait_of(caller, this)]).contains(&true))
}

#[unsafe(export_name = "wasi:io/poll#[method]pollable.block")]
extern "C" fn block(caller: Caller, this: u32) {
    let _ = wait(&[wait_of(caller, this)]);
}

#[unsafe(export_name = "wasi:io/poll#poll")]
extern "C" fn poll(caller: Caller, from: u32, count: u32, to: u32) {
    // By the interface's own rule.
    if count == 0 {
        trap();
    }
    let handles = caller.words(from, count);
    let waits: Vec<Wait> = handles.into_iter().map(|handle| wait_of(caller, handle)).collect();
    let found = wait(&waits);
    let ready = (0_u32..).zip(found).filter(|(_, is_ready)| *is_ready);
    let bytes: Vec<u8> = ready.flat_map(|(at, _)| at.to_le_bytes()).collect();
    let place = caller.room(4, bytes.len());
    caller.put(place, &bytes);
    let record = crate::guest::Record::<8>::new().list(0, (place, bytes.len() as u32 / 4));
    caller.record(to, 4, &record);
}
