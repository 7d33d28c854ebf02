//! A guest's linear memory, every access checked: a wrong pointer is EFAULT, never a panic.

use super::State;
use super::errno::{Errno, Outcome};
use wasmtime::{Caller, Extern, Memory};

/// Buffers that one call may name.
const BUFFERS_MAX: u32 = 1_024;

/// The memory of the guest that calls.
pub(super) fn memory(caller: &mut Caller<'_, State>) -> wasmtime::Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(wasmtime::Error::msg("the module exports no memory")),
    }
}

/// Runs `work` on the guest's memory and the store's state.
pub(super) fn with<T>(
    caller: &mut Caller<'_, State>,
    work: impl FnOnce(&mut Guest<'_>, &mut State) -> T,
) -> wasmtime::Result<T> {
    let memory = memory(caller)?;
    let (data, state) = memory.data_and_store_mut(caller);
    Ok(work(&mut Guest(data), state))
}

/// A linear memory.
pub(super) struct Guest<'a>(&'a mut [u8]);

impl Guest<'_> {
    pub(super) fn bytes(&self, at: u32, length: u32) -> Outcome<&[u8]> {
        let (at, length) = (at as usize, length as usize);
        let end = at.checked_add(length).ok_or(Errno::FAULT)?;
        self.0.get(at..end).ok_or(Errno::FAULT)
    }

    fn array<const N: usize>(&self, at: u32) -> Outcome<[u8; N]> {
        let bytes = self.bytes(at, u32::try_from(N).unwrap_or(u32::MAX))?;
        bytes.try_into().map_err(|_| Errno::FAULT)
    }

    pub(super) fn u8(&self, at: u32) -> Outcome<u8> {
        self.array(at).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&self, at: u32) -> Outcome<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, at: u32) -> Outcome<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: u32) -> Outcome<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) -> Outcome {
        let at = at as usize;
        let end = at.checked_add(bytes.len()).ok_or(Errno::FAULT)?;
        let room = self.0.get_mut(at..end).ok_or(Errno::FAULT)?;
        room.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn put_u32(&mut self, at: u32, value: u32) -> Outcome {
        self.put(at, &value.to_le_bytes())
    }

    /// The buffers of an array of (pointer, length), checked to lie in the memory.
    pub(super) fn buffers(&self, at: u32, count: u32) -> Outcome<Vec<(u32, u32)>> {
        if count > BUFFERS_MAX {
            return Err(Errno::INVAL);
        }
        let mut buffers = Vec::new();
        for n in 0..count {
            let entry = at.checked_add(n * 8).ok_or(Errno::FAULT)?;
            let (pointer, length) = (self.u32(entry)?, self.u32(offset(entry, 4)?)?);
            self.bytes(pointer, length)?;
            buffers.push((pointer, length));
        }
        Ok(buffers)
    }

    /// Spreads `bytes` over `buffers`; what has no room is left out.
    pub(super) fn scatter(&mut self, buffers: &[(u32, u32)], mut bytes: &[u8]) -> Outcome {
        for &(pointer, length) in buffers {
            let (part, rest) = bytes.split_at(bytes.len().min(length as usize));
            self.put(pointer, part)?;
            bytes = rest;
        }
        Ok(())
    }

    /// The bytes of `buffers` in one piece, up to `max`.
    pub(super) fn gather(&self, buffers: &[(u32, u32)], max: usize) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        for &(pointer, length) in buffers {
            let length = (length as usize).min(max - bytes.len());
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            bytes.extend_from_slice(self.bytes(pointer, length)?);
        }
        Ok(bytes)
    }
}

/// The sum of the buffers' lengths.
pub(super) fn total(buffers: &[(u32, u32)]) -> usize {
    buffers.iter().map(|(_, length)| *length as usize).sum()
}

/// `at + by` within 32 bits.
pub(super) fn offset(at: u32, by: u32) -> Outcome<u32> {
    at.checked_add(by).ok_or(Errno::FAULT)
}
