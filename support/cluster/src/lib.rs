//! A real Kubernetes control plane on this machine: etcd, kube-apiserver and, of
//! kube-controller-manager, the garbage collector and the controllers of namespaces and aggregated
//! cluster roles. There are no nodes, so no pod ever runs.
//!
//! The binaries are compiled once from pinned Go modules and kept in the user's cache directory, or
//! taken from the directory that `KUBEBUILDER_ASSETS` names.
//!
//! ```no_run
//! # async fn example() -> Result<(), local_cluster::Error> {
//! use local_cluster::{Cluster, Options, User};
//!
//! let options = Options::new("target/my-cluster")
//!     .user(User::new("alice").group("developers"))
//!     .progress(|event| eprintln!("{event}"));
//! let cluster = Cluster::start(options).await?;
//! println!("KUBECONFIG={}", cluster.kubeconfig().display());
//! cluster.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! No process outlives the one that called [`Cluster::start`], however that one ends: the kernel
//! kills the servers with it (Linux only; elsewhere they survive if their parent is killed).

mod binaries;
mod cluster;
mod credentials;
mod error;
mod go_build;
mod hash;
pub mod helm;
mod kubeconfig;
mod options;
mod ports;
mod probe;
mod process;
mod progress;
pub mod promql;
mod servers;
mod state_dir;

pub use binaries::Binaries;
pub use cluster::Cluster;
pub use error::Error;
pub use options::{Options, User};
pub use progress::Progress;
