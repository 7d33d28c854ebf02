//! Preview 1's error numbers, as far as sockets need them. Not the kernel's.

use crate::net::NetError;
use std::io::ErrorKind;

/// An error number of preview 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

impl Errno {
    pub(super) const ACCES: Self = Self(2);
    pub(super) const ADDRINUSE: Self = Self(3);
    pub(super) const ADDRNOTAVAIL: Self = Self(4);
    pub(super) const AFNOSUPPORT: Self = Self(5);
    pub(super) const AGAIN: Self = Self(6);
    pub(super) const CONNABORTED: Self = Self(13);
    pub(super) const CONNREFUSED: Self = Self(14);
    pub(super) const CONNRESET: Self = Self(15);
    pub(super) const FAULT: Self = Self(21);
    pub(super) const HOSTUNREACH: Self = Self(23);
    pub(super) const INVAL: Self = Self(28);
    pub(super) const IO: Self = Self(29);
    pub(super) const ISCONN: Self = Self(30);
    pub(super) const MFILE: Self = Self(33);
    pub(super) const MSGSIZE: Self = Self(35);
    pub(super) const NETUNREACH: Self = Self(40);
    pub(super) const NOENT: Self = Self(44);
    pub(super) const NOPROTOOPT: Self = Self(50);
    pub(super) const NOTCONN: Self = Self(53);
    pub(super) const NOTSOCK: Self = Self(57);
    pub(super) const PIPE: Self = Self(64);
    pub(super) const TIMEDOUT: Self = Self(73);
}

pub(super) type Outcome<T = ()> = Result<T, Errno>;

/// What a call returns to the guest.
pub(super) fn code(outcome: Outcome) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(errno) => errno.0,
    }
}

impl From<NetError> for Errno {
    fn from(error: NetError) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::CONNREFUSED,
            ErrorKind::ConnectionReset => Self::CONNRESET,
            ErrorKind::ConnectionAborted => Self::CONNABORTED,
            ErrorKind::HostUnreachable => Self::HOSTUNREACH,
            ErrorKind::NetworkUnreachable => Self::NETUNREACH,
            ErrorKind::TimedOut => Self::TIMEDOUT,
            ErrorKind::BrokenPipe => Self::PIPE,
            ErrorKind::AddrInUse => Self::ADDRINUSE,
            ErrorKind::AddrNotAvailable => Self::ADDRNOTAVAIL,
            ErrorKind::NotConnected => Self::NOTCONN,
            ErrorKind::PermissionDenied => Self::ACCES,
            ErrorKind::QuotaExceeded => Self::MFILE,
            ErrorKind::NotFound => Self::NOENT,
            ErrorKind::InvalidInput => match error {
                NetError::MessageTooLong(_) => Self::MSGSIZE,
                _ => Self::INVAL,
            },
            _ => Self::IO,
        }
    }
}
