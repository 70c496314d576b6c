//! Free ports of the loopback interface.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// The ports of one attempt to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) api_server: u16,
    pub(crate) controller_manager: u16,
}

impl Ports {
    /// Ports that were free a moment ago. Another process may take one before it is used, so that
    /// the caller has to be ready to try again.
    pub(crate) fn free() -> io::Result<Self> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        // All bound at once, so that they differ.
        let (etcd, api_server, controller_manager) = (bind()?, bind()?, bind()?);
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        Ok(Self { etcd: port(&etcd)?, api_server: port(&api_server)?, controller_manager: port(&controller_manager)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_differ() {
        let ports = Ports::free().unwrap();
        assert_ne!(ports.etcd, ports.api_server);
        assert_ne!(ports.etcd, ports.controller_manager);
        assert_ne!(ports.api_server, ports.controller_manager);
    }
}
