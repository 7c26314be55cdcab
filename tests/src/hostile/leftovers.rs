//! What the process came with: variables, descriptors, the terminal.

use super::outside::show;
use super::scene::{INHERITED_FILE, INHERITED_FOLDER};
use super::script::Value;
use super::{Attempt, SECRET, Scene, Stopped, Trace, Worked};
use libc as c;

fn learned(_: &Scene, trace: &Trace) -> bool {
    trace.shows(SECRET)
}

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Stopped::{Closed, Wiped};
    use Worked::{Last, When};
    vec![
        Attempt::new("environment", "find the caller's variables at the stack's end", When(learned), |_, s| {
            // All of the stack above this; the kernel writes as much as there is.
            s.call(c::SYS_write, &[2.into(), Value::Memory(0), (4 << 20).into()]);
        }).stopped_by(Wiped),
        Attempt::new("inherited-file", "write to a file that was open already", When(|scene, _| !scene.text("inherited").is_empty()), |_, s| {
            let text = s.text("x");
            s.call(c::SYS_write, &[INHERITED_FILE.into(), text, 1.into()]);
        }).stopped_by(Closed),
        Attempt::new("inherited-socket", "send through a socket that was open already", When(|scene, _| scene.was_sent_something()), |scene, s| {
            let text = s.text("x");
            s.call(c::SYS_write, &[scene.inherited_socket.into(), text, 1.into()]);
        }).stopped_by(Closed),
        Attempt::new("inherited-folder", "read a file in a folder that was open already", When(learned), |_, s| {
            let path = s.text("secret");
            let file = s.call(c::SYS_openat, &[INHERITED_FOLDER.into(), path, c::O_RDONLY.into(), 0.into()]);
            s.need(file);
            show(s, file);
        }).with_folders(Closed),
        Attempt::new("duplicate", "take a descriptor's place (dup2)", Last, |_, s| {
            s.call(c::SYS_dup2, &[1.into(), 0.into()]);
        }),
        Attempt::new("terminal-type", "type into the terminal, for the shell to execute (TIOCSTI)", Last, |_, s| {
            let letter = s.text("\n");
            s.call(c::SYS_ioctl, &[0.into(), c::TIOCSTI.into(), letter]);
        }).with_terminal().where_there(),
        Attempt::new("terminal-settings", "change how the terminal behaves (TCSETS)", Last, |_, s| {
            let settings = s.room(64);
            let got = s.call(c::SYS_ioctl, &[0.into(), c::TCGETS.into(), settings]);
            s.need(got);
            s.call(c::SYS_ioctl, &[0.into(), c::TCSETS.into(), settings]);
        }).with_terminal(),
        Attempt::new("signal-owner", "have another process sent signals for a stream (F_SETOWN)", Last, |scene, s| {
            s.call(c::SYS_fcntl, &[1.into(), c::F_SETOWN.into(), scene.victim.number.into()]);
        }),
        Attempt::new("signal-number", "choose that signal (F_SETSIG)", Last, |_, s| {
            s.call(c::SYS_fcntl, &[1.into(), 10.into(), c::SIGKILL.into()]);
        }),
        Attempt::new("pipe-size", "take the kernel's memory for a pipe (F_SETPIPE_SZ)", Last, |_, s| {
            s.call(c::SYS_fcntl, &[1.into(), c::F_SETPIPE_SZ.into(), (1 << 20).into()]);
        }),
    ]
}
