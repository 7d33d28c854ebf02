//! `wasi:sockets/ip-name-lookup` 0.2: the pod's own resolver.
#![allow(
    unreachable_pub,
    reason = "the generated bindings re-export the resources"
)]

use super::bindings::wasi::sockets::ip_name_lookup;
use super::bindings::wasi::sockets::network::{ErrorCode, IpAddress};
use super::{Network, SocketResult, SocketsView, error_code, ip_to_wit, table};
use crate::net::NetError;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::net::IpAddr;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{DynPollable, Pollable};

/// The longest name that is looked up: RFC 1035's 255 octets, generously.
const NAME_BYTES_MAX: usize = 512;

/// One look-up and what is left of its answer.
pub enum Lookup {
    Asking(BoxFuture<'static, Result<Vec<IpAddr>, NetError>>),
    Answered(std::vec::IntoIter<IpAddr>),
    Failed(ErrorCode),
}

impl Lookup {
    fn answer(&mut self, answer: Result<Vec<IpAddr>, NetError>) {
        *self = match answer {
            Ok(ips) if ips.is_empty() => Self::Failed(ErrorCode::NameUnresolvable),
            Ok(ips) => Self::Answered(ips.into_iter()),
            Err(error) => Self::Failed(error_code(&error)),
        };
    }

    fn try_finish(&mut self) {
        if let Self::Asking(future) = self
            && let Some(answer) = future.now_or_never()
        {
            self.answer(answer);
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Self::Asking(future) = self {
            let answer = future.await;
            self.answer(answer);
        }
    }
}

impl ip_name_lookup::Host for SocketsView<'_> {
    fn resolve_addresses(
        &mut self,
        _network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<Lookup>> {
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '/';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(strange) {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let mut lookup = Lookup::Asking(self.net.net().resolve(&name).boxed());
        lookup.try_finish();
        table(self.table.push(lookup))
    }
}

impl ip_name_lookup::HostResolveAddressStream for SocketsView<'_> {
    fn resolve_next_address(&mut self, this: Resource<Lookup>) -> SocketResult<Option<IpAddress>> {
        let lookup = table(self.table.get_mut(&this))?;
        lookup.try_finish();
        match lookup {
            Lookup::Asking(_) => Err(ErrorCode::WouldBlock.into()),
            Lookup::Answered(ips) => Ok(ips.next().map(ip_to_wit)),
            Lookup::Failed(code) => Err((*code).into()),
        }
    }

    fn subscribe(&mut self, this: Resource<Lookup>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, this)
    }

    fn drop(&mut self, this: Resource<Lookup>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
