//! TCP ports that nothing else on this machine will take.
//!
//! A port that the system chose (`127.0.0.1:0`) and that was let go again may
//! be the next one that it gives to another test, or to an outgoing
//! connection. The ports given here lie below those that Linux chooses from
//! (`/proc/sys/net/ipv4/ip_local_port_range`, 32768 and above unless somebody
//! changed it), and no two calls of one program get the same.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The ports to choose from.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address of this machine where nobody listens, and where a program that
/// is told so can.
///
/// # Panics
///
/// When every port is taken.
pub fn free() -> SocketAddr {
    // Programs of tests that run at the same time start at different places.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port =
            FIRST + (u32::from(start) * 97 + u32::from(step)).rem_euclid(u32::from(COUNT)) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("every port from {FIRST} on is taken")
}
