//! What a start reports while it runs.

use std::fmt;
use std::sync::Arc;

/// A step of a start, for showing to a person (see its `Display`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process is compiling the same binaries; this one waits for it.
    WaitingForOtherBuild,
    /// A binary is being compiled, which happens once per version.
    Building {
        /// The name of the binary, such as `kube-apiserver`.
        binary: &'static str,
        /// Its place among those to compile, from 1.
        index: usize,
        /// How many there are to compile.
        count: usize,
        /// How long all of them take on a small machine, such as `about 6 minutes`.
        estimate: &'static str,
    },
    /// A server was launched.
    Starting {
        /// The name of the server, such as `etcd`.
        server: &'static str,
    },
    /// The cluster can be used.
    Ready,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingForOtherBuild => f.write_str("waiting for another process which compiles the same binaries…"),
            Self::Building { binary, index, count, estimate } => {
                write!(f, "building {binary} ({index} of {count})…, once, {estimate} in all")
            }
            Self::Starting { server } => write!(f, "starting {server}…"),
            Self::Ready => f.write_str("the cluster is ready"),
        }
    }
}

/// The caller's callback, shared by the steps of a start.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<dyn Fn(&Progress) + Send + Sync>);

impl Reporter {
    pub(crate) fn new(callback: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    pub(crate) fn report(&self, event: &Progress) {
        (self.0)(event);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_says_how_far_it_is_and_that_it_happens_once() {
        let event = Progress::Building { binary: "kube-apiserver", index: 3, count: 4, estimate: "about 6 minutes" };
        assert_eq!(event.to_string(), "building kube-apiserver (3 of 4)…, once, about 6 minutes in all");
    }
}
