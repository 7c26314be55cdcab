//! Memory for lists and tables: free blocks by size, each size a power of two.
//!
//! A block that is given back is found again in constant time, and never joined with another.
//! What is asked for beyond what there is grows the memory; where that is refused, it traps.

use crate::Only;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::ptr::{null_mut, with_exposed_provenance_mut};

const PAGE: usize = 65536;
/// The smallest block, which has room for the address of the next one.
const LEAST: usize = 16;

struct Blocks;

#[global_allocator]
static BLOCKS: Blocks = Blocks;

struct State {
    /// The first free block of each power of two.
    free: [*mut u8; 32],
    /// What nobody has had yet: from here, to there.
    from: usize,
    to: usize,
}

static STATE: Only<State> = Only::new(State { free: [null_mut(); 32], from: 0, to: 0 });

unsafe extern "C" {
    static __heap_base: u8;
}

fn size_of(layout: Layout) -> usize {
    layout.size().max(layout.align()).max(LEAST).next_power_of_two()
}

// SAFETY: a block is given out once until it is given back; each begins at a multiple of its
// size or of a page, and is as long as its power of two.
unsafe impl GlobalAlloc for Blocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let state = STATE.get();
        let size = size_of(layout);
        let first = &mut state.free[size.trailing_zeros() as usize];
        if !first.is_null() {
            let block = *first;
            // SAFETY: a free block holds the address of the next.
            *first = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        if state.to == 0 {
            state.from = (&raw const __heap_base).addr();
            state.to = memory_size(0) * PAGE;
        }
        let Some(from) = state.from.checked_next_multiple_of(size.min(PAGE)) else {
            return null_mut();
        };
        let Some(end) = from.checked_add(size) else { return null_mut() };
        if end > state.to {
            let pages = (end - state.to).div_ceil(PAGE);
            if memory_grow(0, pages) == usize::MAX {
                return null_mut();
            }
            state.to += pages * PAGE;
        }
        state.from = end;
        with_exposed_provenance_mut(from)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let first = &mut STATE.get().free[size_of(layout).trailing_zeros() as usize];
        // SAFETY: nobody uses the block any more, and it has room for an address.
        unsafe { block.cast::<*mut u8>().write(*first) };
        *first = block;
    }
}
