//! Numbers that stand for something that is open: from 1 on, one after the other, so that one
//! that was closed never means something else.

use bls_artifact::limits::HANDLES_MAX;

/// What is open of one interface.
#[derive(Debug)]
pub(super) struct Handles<T> {
    last: u32,
    /// In the order of their numbers; there are few.
    open: Vec<(u32, T)>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { last: 0, open: Vec::new() }
    }
}

impl<T> Handles<T> {
    /// Whether there is room for one more, and a number for it.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < HANDLES_MAX && self.last < u32::MAX
    }

    /// A number for something; there must be room.
    pub(super) fn insert(&mut self, what: T) -> u32 {
        self.last = self.last.saturating_add(1);
        self.open.push((self.last, what));
        self.last
    }

    /// What a number stands for.
    pub(super) fn get(&mut self, number: u32) -> Option<&mut T> {
        self.open.iter_mut().find(|(known, _)| *known == number).map(|(_, what)| what)
    }

    /// Takes what a number stands for away.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.open.iter().position(|(known, _)| *known == number)?;
        Some(self.open.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_once() {
        let mut handles = Handles::default();
        assert_eq!((handles.insert('a'), handles.insert('b')), (1, 2));
        assert_eq!(handles.remove(1), Some('a'));
        assert_eq!(handles.remove(1), None);
        assert_eq!(handles.insert('c'), 3);
        assert_eq!(handles.get(3), Some(&mut 'c'));
        assert_eq!(handles.get(0), None);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut handles = Handles::default();
        while handles.has_room() {
            handles.insert(());
        }
        assert_eq!(handles.last as usize, HANDLES_MAX);
        handles.remove(7);
        assert!(handles.has_room());
    }
}
