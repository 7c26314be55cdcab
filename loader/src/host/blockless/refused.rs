//! What is not offered: language models, IPFS, S3 and crawling. Programs import these functions
//! whether they use them or not, so each is there and answers its interface's own refusal.
//!
//! | interface | what begins something | what goes on with it |
//! |---|---|---|
//! | `blockless_llm` | 2: the model is not supported | 1: no such handle |
//! | `blockless_ipfs` | 10: denied | 1: no such handle |
//! | `blockless_s3` | 12: denied | 1: no such handle |
//! | `bless_crawl` | 4: nothing renders pages | 4 |
//!
//! Touches nothing of the guest's.

use crate::host::Host;
use crate::host::errno::{Failure, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};

/// Makes functions of an interface that take these parameters and answer one code.
macro_rules! refusals {
    ($($name:ident($($ty:ident),*) = $code:literal;)*) => {
        $(
            pub(crate) fn $name(
                _: &mut Host, _: &mut GuestMemory<'_> $(, _: $ty)*
            ) -> Outcome<()> {
                Err(Failure::Code($code))
            }
        )*
    };
}

/// Language models.
pub(super) mod blockless_llm {
    use super::*;

    refusals! {
        llm_set_model_request(Pointer, Bytes) = 2;
        llm_get_model_response(u32, Bytes, Pointer) = 1;
        llm_set_model_options_request(u32, Bytes) = 1;
        llm_get_model_options(u32, Bytes, Pointer) = 1;
        llm_prompt_request(u32, Bytes) = 1;
        llm_read_prompt_response(u32, Bytes, Pointer) = 1;
        llm_close(u32) = 1;
    }
}

/// IPFS.
pub(super) mod blockless_ipfs {
    use super::*;

    refusals! {
        ipfs_command(Bytes, Pointer, Pointer) = 10;
        ipfs_read(u32, Bytes, Pointer) = 1;
        ipfs_write(u32, Bytes, Pointer) = 1;
        ipfs_close(u32) = 1;
    }
}

/// S3.
pub(super) mod blockless_s3 {
    use super::*;

    refusals! {
        bucket_command(u32, Bytes, Pointer) = 12;
        bucket_put_object(Bytes, Bytes) = 12;
        s3_read(u32, Bytes, Pointer) = 1;
        s3_close(u32) = 1;
    }
}

/// Crawling.
pub(super) mod bless_crawl {
    use super::*;

    refusals! {
        scrape(Pointer, Bytes, Bytes, Bytes, Pointer) = 4;
        close(u32) = 4;
    }
}
