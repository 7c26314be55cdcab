//! What a guest has used of the network: requests and bytes, up to the set-up's limits.
//!
//! Each request that goes out counts, those that a redirect leads to among them, and each body,
//! sent again or received. Guarantees that neither number ever grows beyond its limit. Knows
//! nothing of time, of handles, and of the length of one answer.

use bls_artifact::broker::{BrokerLimits, Reason, Refusal};

/// Requests and bytes so far.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    requests_max: u32,
    bytes_max: u64,
    requests: u32,
    bytes: u64,
}

impl Count {
    /// Nothing yet, of what these limits allow.
    #[must_use]
    pub fn new(limits: &BrokerLimits) -> Self {
        let (requests_max, bytes_max) = (limits.requests, limits.total_bytes);
        Self { requests_max, bytes_max, requests: 0, bytes: 0 }
    }

    /// Counts a request that sends a body of so many bytes.
    ///
    /// # Errors
    /// [`Reason::TooMany`] or [`Reason::TooLong`]: then it may not be sent.
    pub fn request(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.requests >= self.requests_max {
            let most = self.requests_max;
            return Err(Refusal::new(Reason::TooMany, format_args!("more than {most} requests")));
        }
        self.requests += 1;
        self.bytes(bytes)
    }

    /// Counts bytes of a body.
    ///
    /// # Errors
    /// [`Reason::TooLong`].
    pub fn bytes(&mut self, more: usize) -> Result<(), Refusal> {
        let sum = self.bytes.saturating_add(more as u64);
        if sum > self.bytes_max {
            let most = self.bytes_max;
            let what = format_args!("more than {most} bytes were sent and received");
            return Err(Refusal::new(Reason::TooLong, what));
        }
        self.bytes = sum;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_requests_nor_bytes_grow_beyond_their_limits() {
        let limits = BrokerLimits { requests: 3, total_bytes: 10, ..BrokerLimits::default() };
        let mut count = Count::new(&limits);
        count.request(4).unwrap();
        count.bytes(6).unwrap();
        assert_eq!(count.bytes(1).unwrap_err().reason, Reason::TooLong);
        assert_eq!(count.request(1).unwrap_err().reason, Reason::TooLong);
        count.request(0).unwrap();
        assert_eq!(count.request(0).unwrap_err().reason, Reason::TooMany);
        assert_eq!(count.bytes(usize::MAX).unwrap_err().reason, Reason::TooLong);
    }
}
