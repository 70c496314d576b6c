//! Asking servers whether they are ready.

use std::time::Duration;

use reqwest::{Certificate, Client};

use crate::Error;

/// A client of the servers that trusts the cluster's CA and nothing else, so that no other server
/// on the same port can be taken for one of them.
#[derive(Debug)]
pub(crate) struct Probe {
    client: Client,
    token: String,
}

impl Probe {
    pub(crate) fn new(ca_pem: &str, token: String) -> Result<Self, Error> {
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(ca_pem.as_bytes())?])
            .no_proxy()
            // No connection is kept: each probe is to see the server as a new client does.
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { client, token })
    }

    /// Whether a GET succeeds, with `expected` somewhere in the answer.
    pub(crate) async fn finds(&self, url: &str, expected: &str) -> bool {
        let get = async {
            let request = self.client.get(url).bearer_auth(&self.token);
            request.send().await?.error_for_status()?.text().await
        };
        get.await.is_ok_and(|answer| answer.contains(expected))
    }
}
