//! Answers what a guest asks of the network, without a network:
//!
//!     cargo run --release -p bls-loader --example outside -- builder.pub get.bls
//!
//! runs `get.bls` (compiled from `fixtures/network/get.wat`) and lets it reach one page.

use bls_loader::bls_artifact::net::NetGrant;
use bls_loader::outside::{Answer, Outside, Reason, Refusal, Reply, Request};
use bls_loader::{Loader, Runner, Sink, Trust};
use std::error::Error;

/// A network of one page.
struct OnePage {
    /// What of it was not read yet.
    rest: &'static [u8],
}

impl Outside for OnePage {
    fn ask(&mut self, request: &Request) -> std::io::Result<Reply> {
        Ok(Reply::from(match request {
            Request::Http { url, .. } | Request::Exchange { url, .. } => {
                Answer::Http { handle: 1, status: 200, url: url.clone(), headers: Vec::new() }
            }
            Request::Read { max, .. } => {
                let length = self.rest.len().min(*max as usize);
                let (piece, rest) = self.rest.split_at(length);
                self.rest = rest;
                Answer::Bytes(piece.to_vec())
            }
            Request::Close { .. } => Answer::Done,
            _ => Answer::Refused(Refusal::new(Reason::Denied, "there is one page")),
        }))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(key), Some(artifact)) = (words.next(), words.next()) else {
        return Err("a public key and an artifact are wanted".into());
    };
    let ended = Runner::new(Loader::new(Trust::file(key)?).open(artifact)?)
        .arg("http://example.com/page")
        .allow_net(NetGrant::parse("http://example.com")?)
        .outside(OnePage { rest: b"a page that never was\n" })
        .fuel(100_000_000)
        .stdout(Sink::bytes())
        .run()?;
    println!("{}: {:?}", ended.outcome, String::from_utf8_lossy(&ended.stdout));
    Ok(())
}
