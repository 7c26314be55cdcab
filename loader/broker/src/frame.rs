//! Frames over a stream socket, with descriptors beside them.
//!
//! Descriptors come with a frame's first byte (`SCM_RIGHTS`). Guarantees that memory grows with
//! what arrives, not with what a length promises; that [`receive`] takes no descriptors, which
//! the kernel then closes; and that those which [`receive_all`] takes are closed on exec.

use bls_artifact::broker::{Answer, LENGTH_BYTES, Reason, Refusal, WireError, frame_length};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Most descriptors that come with one frame.
pub const DESCRIPTORS_MAX: usize = 3;

/// Why there is no frame.
#[derive(Debug)]
pub enum FrameError {
    /// The socket.
    Io(io::Error),
    /// What came over it.
    Wire(WireError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::Wire(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<WireError> for FrameError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Reads a frame, without its length; `None` at the end of the stream, between two frames.
///
/// # Errors
/// [`FrameError`]; the stream is of no use after it.
pub fn receive(stream: &mut impl Read) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = [0; LENGTH_BYTES];
    let mut have = 0;
    while have < LENGTH_BYTES {
        match stream.read(&mut length[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(WireError::Short.into()),
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    rest(stream, length).map(Some)
}

/// What stands behind a frame's length.
fn rest(stream: &mut impl Read, length: [u8; LENGTH_BYTES]) -> Result<Vec<u8>, FrameError> {
    let length = frame_length(length)?;
    let mut body = Vec::new();
    stream.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length { Err(WireError::Short.into()) } else { Ok(body) }
}

/// The same, with the descriptors that come with it.
///
/// # Errors
/// [`FrameError`]; also at the end of the stream.
pub fn receive_all(stream: &mut (impl Read + AsFd)) -> Result<(Vec<u8>, Vec<OwnedFd>), FrameError> {
    let mut length = [0; LENGTH_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut buffers = [IoSliceMut::new(&mut length)];
        match recvmsg(&*stream, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.map_err(io::Error::from)?.bytes,
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    stream.read_exact(&mut length[received..])?;
    Ok((rest(stream, length)?, descriptors))
}

/// Writes a frame with its length, and these descriptors, at most [`DESCRIPTORS_MAX`].
///
/// # Errors
/// What the kernel says.
pub fn send(
    stream: &mut (impl Write + AsFd),
    frame: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if descriptors.is_empty() {
        return stream.write_all(frame);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = loop {
        let buffers = [IoSlice::new(frame)];
        match sendmsg(&*stream, &buffers, &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.map_err(io::Error::from)?,
        }
    };
    stream.write_all(&frame[sent..])
}

/// Writes an answer with its descriptors; one that does not fit into a frame is refused.
///
/// # Errors
/// [`FrameError`]; the stream is of no use after it.
pub fn answer(
    stream: &mut (impl Write + AsFd),
    (answer, descriptors): (Answer, Vec<OwnedFd>),
) -> Result<(), FrameError> {
    let long = |error| Answer::Refused(Refusal::new(Reason::TooLong, error)).encode();
    let frame = answer.encode().or_else(long)?;
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(|one| one.as_fd()).collect();
    Ok(send(stream, &frame, &borrowed)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::broker::Request;
    use std::os::unix::net::UnixStream;

    #[test]
    fn frames_and_descriptors_arrive_in_order() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let started = Answer::Started { handle: 1, output_max: 2 }.encode().unwrap();
        send(&mut one, &started, &[writer.as_fd(), reader.as_fd(), writer.as_fd()]).unwrap();
        send(&mut one, &Answer::Done.encode().unwrap(), &[]).unwrap();
        drop(writer);
        let (body, descriptors) = receive_all(&mut other).unwrap();
        assert_eq!(Answer::decode(&body), Ok(Answer::Started { handle: 1, output_max: 2 }));
        assert_eq!(descriptors.len(), 3);
        for descriptor in &descriptors {
            let flags = rustix::io::fcntl_getfd(descriptor).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
        let (body, descriptors) = receive_all(&mut other).unwrap();
        assert_eq!((Answer::decode(&body), descriptors.len()), (Ok(Answer::Done), 0));
        drop(one);
        assert!(receive(&mut other).unwrap().is_none());
    }

    #[test]
    fn descriptors_that_nobody_asked_for_are_closed() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let request = Request::Extensions.encode().unwrap();
        send(&mut one, &request, &[writer.as_fd()]).unwrap();
        drop(writer);
        let body = receive(&mut other).unwrap().unwrap();
        assert_eq!(Request::decode(&body), Ok(Request::Extensions));
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "nobody holds the other end");
    }

    #[test]
    fn a_length_that_is_a_lie_takes_no_memory() {
        for (bytes, what) in [
            (&[0, 0, 0, 0][..], "1 to"),
            (&[0xff; 4], "1 to"),
            (&[0, 0, 0, 1, 7, 7], "ends"),
            (&[1, 0], "ends"),
        ] {
            let error = receive(&mut &*bytes).unwrap_err().to_string();
            assert!(error.contains(what), "{bytes:?}: {error}");
        }
        assert!(receive(&mut &[][..]).unwrap().is_none());
    }
}
