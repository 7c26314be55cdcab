//! Disks for tests: one on which an operation goes wrong, and one that does not wait.

use bls_loader::store::{Disk, Folder, StoreError};
use rustix::io::Errno;
use std::path::PathBuf;

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before it: neither it nor anything after it happens.
    Death,
    /// The system refuses it; what cleans up behind it works.
    Refused,
    /// The disk is full: half of a write happens, and no more is written.
    Full,
}

/// A disk on which one operation goes wrong.
#[derive(Debug)]
pub struct Faulty<D> {
    /// The disk itself.
    pub disk: D,
    fault: Fault,
    /// Operations until then.
    left: usize,
    /// Operations that were asked for.
    pub asked: usize,
    /// Whether it has gone wrong.
    pub happened: bool,
}

impl<D: Disk> Faulty<D> {
    /// One on which the operation behind `left` good ones goes wrong.
    pub fn new(disk: D, fault: Fault, left: usize) -> Self {
        Self { disk, fault, left, asked: 0, happened: false }
    }

    fn next(&mut self) -> Result<(), StoreError> {
        self.asked += 1;
        if self.happened && self.fault != Fault::Refused {
            let cleaning = self.fault == Fault::Full;
            return if cleaning { Ok(()) } else { Err(failed(Errno::IO)) };
        }
        if self.left == 0 && !self.happened {
            self.happened = true;
            let errno = if self.fault == Fault::Full { Errno::NOSPC } else { Errno::IO };
            return Err(failed(errno));
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

fn failed(errno: Errno) -> StoreError {
    StoreError::System("do", "it".into(), errno)
}

impl<D: Disk> Disk for Faulty<D> {
    type File = D::File;

    fn make(&mut self, folder: Folder) -> Result<(), StoreError> {
        self.next()?;
        self.disk.make(folder)
    }
    fn names(&mut self, folder: Folder) -> Result<Vec<String>, StoreError> {
        self.next()?;
        self.disk.names(folder)
    }
    fn read(
        &mut self,
        folder: Folder,
        name: &str,
        max: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.next()?;
        self.disk.read(folder, name, max)
    }
    fn create(&mut self, name: &str) -> Result<D::File, StoreError> {
        self.next()?;
        self.disk.create(name)
    }
    fn write(&mut self, file: &mut D::File, bytes: &[u8]) -> Result<usize, StoreError> {
        if self.fault == Fault::Full && self.left == 0 && !self.happened && bytes.len() > 1 {
            return self.disk.write(file, &bytes[..bytes.len() / 2]);
        }
        self.next()?;
        self.disk.write(file, bytes)
    }
    fn sync(&mut self, file: &D::File) -> Result<(), StoreError> {
        self.next()?;
        self.disk.sync(file)
    }
    fn rename(&mut self, from: &str, folder: Folder, name: &str) -> Result<(), StoreError> {
        self.next()?;
        self.disk.rename(from, folder, name)
    }
    fn sync_folder(&mut self, folder: Folder) -> Result<(), StoreError> {
        self.next()?;
        self.disk.sync_folder(folder)
    }
    fn remove(&mut self, folder: Folder, name: &str) -> Result<(), StoreError> {
        self.next()?;
        self.disk.remove(folder, name)
    }
    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.disk.path(folder, name)
    }
}

/// A disk that brings nothing to the disk: for tests that cut no power.
#[derive(Debug)]
pub struct Unsynced<D>(pub D);

impl<D: Disk> Disk for Unsynced<D> {
    type File = D::File;

    fn make(&mut self, folder: Folder) -> Result<(), StoreError> {
        self.0.make(folder)
    }
    fn names(&mut self, folder: Folder) -> Result<Vec<String>, StoreError> {
        self.0.names(folder)
    }
    fn read(
        &mut self,
        folder: Folder,
        name: &str,
        max: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.read(folder, name, max)
    }
    fn create(&mut self, name: &str) -> Result<D::File, StoreError> {
        self.0.create(name)
    }
    fn write(&mut self, file: &mut D::File, bytes: &[u8]) -> Result<usize, StoreError> {
        self.0.write(file, bytes)
    }
    fn sync(&mut self, _: &D::File) -> Result<(), StoreError> {
        Ok(())
    }
    fn rename(&mut self, from: &str, folder: Folder, name: &str) -> Result<(), StoreError> {
        self.0.rename(from, folder, name)
    }
    fn sync_folder(&mut self, _: Folder) -> Result<(), StoreError> {
        Ok(())
    }
    fn remove(&mut self, folder: Folder, name: &str) -> Result<(), StoreError> {
        self.0.remove(folder, name)
    }
    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.0.path(folder, name)
    }
}
