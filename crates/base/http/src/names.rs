//! From a host's name to its addresses, without the C library, which a static program cannot ask.
//!
//! /etc/hosts first, then the servers that /etc/resolv.conf names. Where there is no such file, only the hosts file is asked: names
//! of a company's machines are never sent to servers that nobody named.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Shares one resolver among all clients of the process; made at the first look-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names;

static RESOLVER: OnceLock<Result<TokioResolver, String>> = OnceLock::new();

impl Names {
    pub(crate) fn shared() -> Arc<Names> {
        Arc::new(Names)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let resolver = RESOLVER.get_or_init(resolver).as_ref().map_err(Clone::clone)?;
            let found = resolver.lookup_ip(name.as_str()).await?;
            // The port is put in by who connects.
            let addresses: Vec<_> = found.iter().map(|address| SocketAddr::new(address, 0)).collect();
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

fn resolver() -> Result<TokioResolver, String> {
    let nobody =
        || TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default());
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| nobody());
    // Both kinds of address, for whichever connects first.
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder.build().map_err(|error| error.to_string())
}
