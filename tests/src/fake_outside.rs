//! Somebody who answers what a guest asks, as a test wants it.

use bls_artifact::net::NetRules;
use bls_loader::host::{Aliases, Grants, Reach};
use bls_loader::outside::{Answer, Outside, Reason, Refusal, Reply, Request};
use std::sync::{Arc, Mutex};

/// What was asked, in order.
pub type Asked = Arc<Mutex<Vec<Request>>>;

type Answers = Box<dyn FnMut(&Request) -> std::io::Result<Reply> + Send>;

/// Answers by a function, and notes what it was asked.
pub struct Fake {
    asked: Asked,
    answers: Answers,
}

impl Fake {
    /// One that answers so, and where what it was asked can be read.
    pub fn new(
        answers: impl FnMut(&Request) -> std::io::Result<Reply> + Send + 'static,
    ) -> (Self, Asked) {
        let asked = Asked::default();
        (Self { asked: Arc::clone(&asked), answers: Box::new(answers) }, asked)
    }
}

impl Outside for Fake {
    fn ask(&mut self, request: &Request) -> std::io::Result<Reply> {
        self.asked.lock().expect("nobody panics with it").push(request.clone());
        (self.answers)(request)
    }
}

/// A refusal.
#[must_use]
pub fn refusal(reason: Reason) -> Reply {
    Answer::Refused(Refusal::new(reason, reason.name())).into()
}

/// Grants of these places and all extensions, with somebody who answers so.
///
/// # Panics
/// When a place is none.
#[must_use]
pub fn grants(
    places: &[&str],
    answers: impl FnMut(&Request) -> std::io::Result<Reply> + Send + 'static,
) -> (Grants, Asked) {
    let (fake, asked) = Fake::new(answers);
    let network = NetRules::parse(places.iter().copied(), []).expect("places");
    let reach = Reach { network, extensions: Aliases::All, outside: Some(Box::new(fake)) };
    (Grants { reach, ..Grants::default() }, asked)
}
